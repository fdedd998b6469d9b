"""Check every link of the built documentation and of the Markdown files at the top.

A link inside the site has to lead to a file that is there, and its fragment to an
element of that page. A link out of it is checked for its form only, so that no
network is needed; `--external` lists them. Run it as
`python tools/check_links.py [--external] [SITE]`; `make docs` does.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs" / "_build" / "html"
# Addresses of a whole page that scripts fill in.
SCRIPTED = {"search.html"}


@dataclass(frozen=True)
class Link:
    """A reference found in a file, as it stands there."""

    file: Path
    target: str


@cache
def page(path: Path) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the anchors of an HTML page and everything that it refers to."""
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    anchors = {tag["id"] for tag in soup.find_all(id=True)}
    anchors |= {tag["name"] for tag in soup.find_all("a", attrs={"name": True})}
    targets = [tag["href"] for tag in soup.find_all(href=True)]
    targets += [tag["src"] for tag in soup.find_all(src=True)]
    return frozenset(anchors), tuple(targets)


def html_links(site: Path) -> Iterator[Link]:
    """Yield the links of every page of a built site."""
    for path in sorted(site.rglob("*.html")):
        if "_static" not in path.relative_to(site).parts:
            yield from (Link(path, target) for target in page(path)[1])


def markdown_links(root: Path) -> Iterator[Link]:
    """Yield the links of the Markdown files at the top of the repository."""
    for path in sorted(root.glob("*.md")):
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            yield Link(path, target)


def headings(path: Path) -> frozenset[str]:
    """Return the anchors of a Markdown file: its headings, as they are commonly slugged."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", t.lower()).strip().replace(" ", "-") for t in titles)


def is_external(target: str) -> bool:
    """Whether a link leads out of the site."""
    return bool(urlsplit(target).scheme or target.startswith("//"))


def fault(link: Link) -> str | None:
    """Return what is wrong with a link, or None."""
    parts = urlsplit(link.target)
    if is_external(link.target):
        if parts.scheme in ("mailto", "data", "javascript"):
            return None
        sound = parts.scheme in ("http", "https") and re.fullmatch(
            r"[\w-]+(\.[\w-]+)+(:\d+)?", parts.netloc
        )
        return None if sound else "not an address"
    path = (link.file.parent / unquote(parts.path)).resolve() if parts.path else link.file
    if path.is_dir():
        path /= "index.html"
    if not path.is_file():
        return "no such file"
    fragment = unquote(parts.fragment)
    if not fragment or path.name in SCRIPTED:
        return None
    if path.suffix == ".html":
        anchors = page(path)[0]
    elif path.suffix == ".md":
        anchors = headings(path)
    else:
        return None
    return None if fragment in anchors else "no such anchor"


def check(links: Iterator[Link]) -> tuple[list[str], list[Link]]:
    """Return the faults, in words, and all links."""
    everything = list(links)
    found = [
        f"{link.file.name}: {link.target}: {problem}"
        for link in everything
        if (problem := fault(link)) is not None
    ]
    return sorted(set(found)), everything


def main() -> int:
    """Check the site and the Markdown files; return the number of faults, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", nargs="?", type=Path, default=SITE)
    parser.add_argument("--external", action="store_true", help="list the links that lead out")
    args = parser.parse_args()
    faults, links = check(html_links(args.site.resolve()))
    more, others = check(markdown_links(ROOT))
    if args.external:
        print("\n".join(sorted({k.target for k in [*links, *others] if is_external(k.target)})))
    for line in [*faults, *more]:
        print(line, file=sys.stderr)
    if not links:
        print(f"no pages in {args.site}", file=sys.stderr)
        return 1
    print(f"{len(links) + len(others)} links, {len(faults) + len(more)} broken")
    return int(bool(faults or more))


if __name__ == "__main__":
    sys.exit(main())

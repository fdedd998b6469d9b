"""Write the verify table of the README from a report.

`python tools/readme_table.py report/report.json` replaces what stands between
the two markers of README.md.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parents[1] / "README.md"
MARKED = re.compile(
    r"(?P<begin><!-- verify table: begin[^\n]*-->\n).*?(?P<end><!-- verify table: end -->)",
    re.DOTALL,
)


def table(report: dict[str, Any]) -> str:
    """Return the claims of a report as a Markdown table."""
    rows = ["| claim | what it says | measured | required | verdict |", "|---|---|---|---|---|"]
    for claim in report["claims"]:
        shown = next(
            (m for m in claim["measurements"] if m["verdict"] != "supported"),
            claim["measurements"][0],
        )
        value = "–" if shown["value"] is None else f"{shown['value']:.3g}"
        cells = (
            f"`{claim['name']}`",
            claim["title"],
            value,
            shown["requirement"],
            claim["verdict"] + (" (a question)" if claim["question"] else ""),
        )
        rows.append(f"| {' | '.join(cells)} |")
    proofs = [p for claim in report["claims"] for p in claim["proofs"]]
    controls = [c for claim in report["claims"] for c in claim["controls"]]
    held = sum(p["verdict"] == "supported" for p in proofs)
    rejected = sum(c["rejected"] for c in controls)
    rows += [
        "",
        f"{held} of {len(proofs)} proofs carried out, {rejected} of {len(controls)} negative "
        f"controls rejected; {report['settings']['seeds']} random problems a check, "
        f"{report['seconds']:.0f} s on two cores.",
    ]
    return "\n".join(rows) + "\n"


def main(path: Path) -> None:
    """Replace the table of the README by that of the report at `path`."""
    report = json.loads(path.read_text(encoding="utf-8"))
    text = README.read_text(encoding="utf-8")
    README.write_text(
        MARKED.sub(lambda m: f"{m['begin']}\n{table(report)}\n{m['end']}", text), encoding="utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

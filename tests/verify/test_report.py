"""The four views of a report: table, JSON by its schema, JUnit XML, one HTML page."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from rich.console import Console

from momentumflow.base.errors import InputError
from momentumflow.base.numbers import in_text as number
from momentumflow.symbolic import theorem, theorems
from momentumflow.verify import claims
from momentumflow.verify.report import formula_svg as formula
from momentumflow.verify.report.html_page import prose
from momentumflow.verify.report.json_view import schema
from momentumflow.verify.report.reports import writable
from momentumflow.verify.runner import run


@pytest.fixture
def report(sound, open_claim, toothless, subject):
    return run(claims=(sound, open_claim, toothless), subject=subject, seeds=3)


def test_json_fits_its_schema_and_the_schema_is_one(report):
    jsonschema.Draft202012Validator.check_schema(schema())
    loaded = json.loads(report.to_json())
    jsonschema.validate(loaded, schema(), cls=jsonschema.Draft202012Validator)
    assert [c["verdict"] for c in loaded["claims"]] == ["supported", "no verdict", "not supported"]
    # What could not be measured is null, which JSON has, and not NaN, which it has not.
    assert loaded["claims"][1]["measurements"][0]["value"] is None


def test_the_schema_refuses_what_it_does_not_describe(report):
    data = report.to_dict()
    data["claims"][0]["verdict"] = "probably"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())


def test_every_field_of_the_schema_is_described_or_plain():
    def walk(node):
        for key, value in node.get("properties", {}).items():
            assert value, key
            walk(value)
            walk(value.get("items", {}))

    walk(schema())


def test_junit_counts_failures_and_errors(report):
    root = ET.fromstring(report.to_junit())
    (suite,) = root.findall("testsuite")
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(cases)) == "6"
    assert suite.get("failures") == str(len(suite.findall("testcase/failure"))) == "2"
    assert suite.get("errors") == str(len(suite.findall("testcase/error"))) == "1"
    assert "raise max_steps" in suite.find("testcase/error").get("message")


def test_exit_code_follows_the_verdict(sound, open_claim, subject):
    assert run(claims=(sound,), subject=subject, seeds=2).exit_code == 0
    assert run(claims=(sound, open_claim), subject=subject, seeds=2).exit_code == 1


def test_table_names_each_claim_and_what_decided(report):
    console = Console(width=200, file=io.StringIO())
    console.print(report)
    text = console.file.getvalue()
    # 1/2: the toothless claim rejects one of its two controls.
    for expected in ("square", "no verdict", "raise max_steps", "was accepted", "1/2", "1/1"):
        assert expected in text
    assert report.summary().startswith("3 claims in ")


class _Page(HTMLParser):
    """Collects what the page would load and checks that its tags nest."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr", "path", "use"})

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.loaded, self.ids, self.links, self.open, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.loaded += [v for k, v in attrs if k in ("src", "data") or (tag, k) == ("link", "href")]
        if tag in ("script", "iframe"):
            self.loaded.append(tag)
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "a":
            self.links.append(named["href"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_one_file_that_loads_nothing(report):
    html = report.to_html()
    page = _Page()
    page.feed(html)
    assert page.open == []
    assert page.loaded == []
    assert not re.search(r"url\(\s*['\"]?(?!#)", html)
    assert "@import" not in html
    for link in page.links:
        assert link[1:] in page.ids
    text = " ".join("".join(page.text).split())
    for expected in ("x < 3 & x > 1", "the cube in place of the square", "root seed 0", "numpy"):
        assert expected in text
    assert html.count('<svg class="formula"') == 3
    assert html.count("<figure>") == 2  # the open claim has nothing to draw


def test_user_text_is_escaped(sound, subject):
    from dataclasses import replace

    html = run(
        claims=(replace(sound, title="<script>alert(1)</script>"),), subject=subject, seeds=2
    ).to_html()
    assert "<script>" not in html


def test_the_notebook_view_is_the_table_alone(report):
    html = report._repr_html_()
    assert html.count("<tr>") == 4
    assert "<html" not in html


def test_write_puts_pages_and_figures_in_the_folder(report, tmp_path):
    written = report.write(tmp_path / "new" / "folder")
    names = sorted(p.relative_to(tmp_path / "new" / "folder").as_posix() for p in written)
    assert names == [
        "figures/square.pdf",
        "figures/square.png",
        "figures/square.svg",
        "figures/toothless.pdf",
        "figures/toothless.png",
        "figures/toothless.svg",
        "index.html",
        "junit.xml",
        "report.json",
    ]
    assert all(p.stat().st_size > 100 for p in written)
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "figures",
        "index.html",
        "junit.xml",
        "report.json",
    ]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("here")
    with pytest.raises(InputError) as caught:
        writable(taken)
    assert str(caught.value) == (
        f"expected a report folder that can be written to, received {taken} (File exists); "
        "choose another one with --out."
    )


@pytest.mark.parametrize(
    "latex",
    [
        r"\lambda\,\ddot w + \dot w + \nabla F(w) = 0",
        r"\Delta_\infty = \Delta_0 \exp\left(-(S_+ + S_-)\right)",
        r"\operatorname{asinh}{\left(\frac{2 \theta}{\Delta} \right)}",
    ],
)
def test_formulas_become_drawings_with_their_source_as_label(latex):
    drawn = str(formula.svg(latex))
    assert drawn.startswith('<svg class="formula" role="img"')
    ET.fromstring(drawn)
    assert ET.fromstring(drawn).get("aria-label") == latex


def test_every_formula_of_claims_and_theorems_is_drawn():
    said = [latex for claim in claims() for latex in claim.displayed]
    said += [step.latex() for chain in theorems() for step in chain.formal]
    assert [latex for latex in said if not formula.svg(latex).startswith("<svg")] == []


def test_a_chain_is_shown_with_its_hypotheses_its_sentences_and_a_verdict_a_step(sound, subject):
    shown = replace(sound, theorems=("less-penalty",))
    html = run(claims=(shown,), subject=subject, seeds=2).to_html()
    chain = theorem("less-penalty")
    (block,) = re.findall(r"<summary>Theorem .*?</details>", html, re.DOTALL)
    assert block.count('class="badge supported"') == len(chain.formal)
    assert block.count("In words:") == len(chain.steps) - len(chain.formal)
    assert block.count("<svg") == len(chain.formal)
    # Negative control: a broken step is shown as such, in the chain too.
    steps = tuple(replace(s, rhs=2 * s.rhs) if s is chain.steps[0] else s for s in chain.steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("momentumflow.verify.claim.theorem", lambda _: replace(chain, steps=steps))
        html = run(claims=(shown,), subject=subject, seeds=2).to_html()
    (block,) = re.findall(r"<summary>Theorem .*?</details>", html, re.DOTALL)
    assert block.count('class="badge refuted"') == 1


def test_a_formula_that_cannot_be_drawn_stays_readable():
    assert str(formula.svg(r"\begin{pmatrix} a < b \end{pmatrix}")) == (
        r'<code class="formula">\begin{pmatrix} a &lt; b \end{pmatrix}</code>'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.234e-12, "1.23·10⁻¹²"),
        (1e-9, "10⁻⁹"),
        (0.998, "0.998"),
        (-2.5, "−2.5"),
        (float("nan"), "–"),
    ],
)
def test_numbers_read_as_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("plain", "set_"),
    [
        ("lambda_hat = lambda - eps/2", "λ\u0302 = λ - ε/2"),
        ("gamma/(1-beta)^2 <= 1e-09", "γ/(1-β)² ≤ 10⁻⁹"),
        ("0.5 and 1.25e-07 from w_{-1} = w_0", "0.5 and 1.25·10⁻⁷ from w₋₁ = w₀"),
        ("alphabet and heavy-ball stay", "alphabet and heavy-ball stay"),
    ],
)
def test_prose_sets_symbols_and_powers(plain, set_):
    assert prose(plain) == set_


def test_an_arrow_survives_the_removal_of_sized_brackets():
    assert formula._source(r"\left(a \rightarrow b\right)") == r"(a \rightarrow b)"

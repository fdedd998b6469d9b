"""The report as one HTML page that needs nothing beside itself.

Figures and formulas are inlined as SVG; the page loads no script, no font and no
style from anywhere. The template is `report_template.html` beside this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup

from momentumflow.base import figures
from momentumflow.base.numbers import in_text
from momentumflow.verify.evidence import Verdict
from momentumflow.verify.report import formula_svg as formula
from momentumflow.verify.report.findings import Findings

# A verdict has a sign as well as a colour, so that it survives grey print.
SIGNS = {Verdict.SUPPORTED: "✓", Verdict.REFUTED: "✗", Verdict.UNDECIDED: "?"}
CLASSES = {
    Verdict.SUPPORTED: "supported",
    Verdict.REFUTED: "refuted",
    Verdict.UNDECIDED: "undecided",
}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("momentumflow.verify.report", "."),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["formula"] = formula.svg
    environment.filters["sign"] = SIGNS.__getitem__
    environment.filters["verdict_class"] = CLASSES.__getitem__
    environment.filters["number"] = in_text
    environment.filters["prose"] = prose
    return environment


def _template() -> Template:
    return _environment().get_template("report_template.html")


_GREEK = {
    "lambda_hat": "λ\u0302", "lambda": "λ", "gamma": "γ", "beta": "β", "alpha": "α", "eps": "ε",
    "rho": "ρ", "theta_tilde_0": "θ\u03030", "theta_0": "θ₀", "theta_inf": "θ∞",
    "theta": "θ", "Delta_inf": "Δ∞",
    "Delta_0": "Δ₀", "w_{-1}": "w₋₁", "w_0": "w₀", "S_+": "S₊", "S_-": "S₋",
    "w_+": "w₊", "w_-": "w₋", "w_pm": "w±", "q_+": "q₊", "q_-": "q₋", "w_inf": "w∞", "Delta": "Δ",
    "int": "∫", "->": "→", "<=": "≤", ">=": "≥", "^2": "²",
}  # fmt: skip
_WORDS = re.compile(
    r"(?<!\w)(?:" + "|".join(map(re.escape, _GREEK)) + r")(?![\w])"
    r"|->|<=|>=|\^2|(?P<number>(?<![\w.])-?\d+(?:\.\d+)?e[+-]?\d+)"
)


def prose(text: str) -> str:
    """Return plain text with the symbols' names as letters and e-notation as powers of ten."""
    return _WORDS.sub(lambda m: in_text(float(m[0])) if m["number"] else _GREEK[m[0]], text)


def render(report: Findings, drawings: Mapping[str, str]) -> str:
    """Return the whole page; `drawings` are the claims' figures as SVG documents."""
    inlined = {name: Markup(figures.inline(svg)) for name, svg in drawings.items()}
    themes = list(dict.fromkeys(r.claim.theme for r in report.results))
    return _template().render(report=report, themes=themes, drawings=inlined, Verdict=Verdict)


def verdict_table(report: Findings) -> str:
    """Return the table of verdicts alone, for notebooks."""
    module = _template().make_module({"report": report, "themes": [], "drawings": {}})
    return str(module.overview(report))  # type: ignore[attr-defined]

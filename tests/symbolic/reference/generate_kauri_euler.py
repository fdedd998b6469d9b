"""Write kauri_euler.json: the modified equation of the explicit Euler method by kauri.

kauri (Shmelev, PyPI) computes it through the substitution coproduct of
Calaque, Ebrahimi-Fard and Manchon; nothing is shared with momentumflow. Run in
an environment with `kauri` and nothing else needed:

    python generate_kauri_euler.py

kauri works in floats; the fraction nearest to each is written, after a check that
it is one of denominator below 10^4 to 12 digits. Each entry is `a(tau)` with the
modified field `sum h^(n-1) a(tau)/sigma(tau) F(tau)`.
"""

import json
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import kauri

ORDER = 6


def text(nested):
    """kauri's nested tuples end in the colour of the node: ((0,), 0) is [[]]."""
    children = sorted((text(child) for child in nested[:-1]), key=lambda s: (s.count("["), s))
    return f"[{','.join(children)}]"


table = {}
modified = kauri.euler.modified_equation_map()
for tau in kauri.trees_up_to_order(ORDER):
    if tau.nodes():
        value = modified(tau)
        fraction = Fraction(value).limit_denominator(10**4)
        assert abs(value - fraction) < 1e-12
        table[text(tau.list_repr)] = str(fraction)
target = Path(__file__).with_name("kauri_euler.json")
content = {"kauri": version("kauri"), "order": ORDER, "coefficients": table}
target.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

"""Generated modules: derived from the recurrence, reproducible, importable."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from momentumflow import InputError, numeric
from momentumflow.numeric.runs import descent_loops, kernels
from momentumflow.symbolic import (
    DiagonalNetwork,
    GradientDescent,
    HeavyBall,
    Nesterov,
    QuasiHyperbolic,
    SeparableNetwork,
    write_kernels,
)
from momentumflow.symbolic.codegen.kernel_files import committed_kernels, kernel_source
from momentumflow.symbolic.codegen.remainder_laws import RemainderLaw
from momentumflow.symbolic.codegen.update_rule import FlowField, Step
from momentumflow.symbolic.identities import ProofError
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.symbols import beta, g, gamma, lam, u, v, w_minus, w_plus

NETWORK = DiagonalNetwork().balanced


@pytest.mark.parametrize("name", sorted(committed_kernels()))
def test_committed_kernels_are_what_the_derivation_gives(name: str) -> None:
    folder = Path(kernels.__file__).parent
    assert (folder / name).read_text(encoding="utf-8") == committed_kernels()[name], (
        "regenerate with `momentumflow kernels check --write`"
    )


def test_no_kernel_is_committed_that_is_not_generated() -> None:
    folder = Path(kernels.__file__).parent
    assert {p.name for p in folder.glob("*.py")} == {*committed_kernels(), "__init__.py"}


def test_numba_modules_end_with_the_loops() -> None:
    _, mark, loops = Path(descent_loops.__file__).read_text(encoding="utf-8").partition("# Below: ")
    three = SeparableNetwork.of_map("a*b*c", "deep")
    for network, weights in ((NETWORK, 2), (three, 3)):
        source = kernel_source(HeavyBall(), network)
        own, _, shared = source.partition(mark)
        assert shared == loops
        assert f"WEIGHTS = {weights}" in own
        assert len(own.splitlines()) < 100 + 10 * weights
        compile(source, "<module>", "exec")


def test_steps_follow_from_the_recurrences() -> None:
    p_plus, _ = Step(HeavyBall(), NETWORK).displacements
    heavy = Step(HeavyBall(), NETWORK).displacement_updates[0]
    assert sp.expand(heavy - (beta * p_plus - gamma * g * w_plus)) == 0
    nesterov = Step(Nesterov(), NETWORK)
    assert nesterov.evaluation_point[w_plus] == w_plus + beta * p_plus
    ahead = nesterov.displacement_updates[0]
    assert sp.expand(ahead - (beta * p_plus - gamma * g * (w_plus + beta * p_plus))) == 0
    plain = Step(GradientDescent(), NETWORK).displacement_updates[1]
    assert sp.expand(plain - gamma * g * w_minus) == 0


@pytest.mark.parametrize(
    "method", [HeavyBall(), Nesterov(), GradientDescent(), QuasiHyperbolic()], ids=lambda m: m.name
)
def test_remainders_telescope(method: MomentumMethod) -> None:
    law = RemainderLaw(method, NETWORK)
    plus, minus = map(law.telescoping, law.step.weights, law.moves())
    assert plus.prove().steps
    assert minus.prove().steps
    # what a run takes the remainder from is what telescopes, weight by weight
    assert len(law.totals) == 2
    # negative control: the total of the other weight is off by the sign of the force
    with pytest.raises(ProofError):
        replace(plus, lhs=minus.lhs).prove()


def test_a_methods_coefficients_are_not_assumed() -> None:
    # a left side scaled by 2 states the same method with half the step
    scaled = MomentumMethod.from_recurrence(
        {1: 2, 0: -2 - 2 * beta, -1: 2 * beta}, [(1, {0: 1})], name="scaled"
    )
    ours = Step(scaled, NETWORK).displacement_updates[0]
    heavy = Step(HeavyBall(), NETWORK).displacement_updates[0]
    assert sp.expand(ours - heavy.subs(gamma, gamma / 2)) == 0


def test_flow_is_solved_for_the_acceleration() -> None:
    flow = FlowField(NETWORK)
    v_plus, _ = flow.velocities
    assert sp.expand(lam * flow.accelerations[0] + v_plus + g * w_plus) == 0


def _load(path: Path) -> object:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_users_own_network_goes_through_the_same_door(tmp_path: Path) -> None:
    cubic = SeparableNetwork((u,), u**3, name="cubic")
    module = _load(write_kernels(tmp_path, HeavyBall(), cubic, "numpy"))
    values = module.step(2.0, 0.5, 0.3, 0.1, 0.9, 9.0)  # type: ignore[attr-defined]
    p = 0.9 * 0.5 - 0.1 * 0.3 * 3 * 4
    assert values[:2] == (pytest.approx(2.0 + p), pytest.approx(p))
    assert module.REMAINDERS  # type: ignore[attr-defined]


def test_the_uv_network_walks_the_same_path(tmp_path: Path) -> None:
    # an independent set of coordinates: theta = u v instead of w_pm
    pairs = SeparableNetwork((u, v), u * v, name="uv")
    module = _load(write_kernels(tmp_path, Nesterov(), pairs, "numpy"))
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((3, 5)), rng.standard_normal(3)
    a, b, p, q = np.full(5, 0.3), np.full(5, 0.1), np.zeros(5), np.zeros(5)
    for _ in range(50):
        theta = module.parameter(a, b, p, q, 0.8)  # type: ignore[attr-defined]
        grad = X.T @ (X @ theta - y) / 3
        a, b, p, q, *_ = module.step(a, b, p, q, grad, 0.02, 0.8, 4.0)  # type: ignore[attr-defined]
    problem = numeric.Regression(X, y)
    run = numeric.momentum_descent(
        problem, 0.02, 0.8, (np.full(5, 0.3), np.full(5, 0.1)), method="nesterov",
        max_steps=50, tol=None,
    )  # fmt: skip
    np.testing.assert_allclose(run.w_plus, a + b, rtol=1e-13)
    np.testing.assert_allclose(run.w_minus, a - b, rtol=1e-13)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="backend to be one of"):
        kernel_source(HeavyBall(), NETWORK, "fortran")
    target = tmp_path / "file"
    target.write_text("")
    with pytest.raises(InputError, match="a folder to write kernels to"):
        write_kernels(target)
    three = MomentumMethod.from_recurrence(
        {1: 1, 0: -1, -1: sp.Rational(1, 4), -2: -sp.Rational(1, 4)}, [(1, {0: 1})], name="three"
    )
    with pytest.raises(InputError, match="a method w_"):
        Step(three, NETWORK)

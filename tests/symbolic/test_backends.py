"""Every backend computes the same run as the NumPy reference engine."""

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from momentumflow.numeric import momentum_descent, sparse_regression
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    Nesterov,
    QuasiHyperbolic,
    SeparableNetwork,
    write_kernels,
)
from momentumflow.symbolic.symbols import u

PROBLEM = sparse_regression(5, 8, 3, seed=4)
STEPS, GAMMA = 200, 0.03
METHODS = {"heavy_ball": (HeavyBall(), 0.8), "nesterov": (Nesterov(), 0.7)}
METHODS["gradient_descent"] = (GradientDescent(), 0.0)


def reference(method: str, beta: float):
    return momentum_descent(
        PROBLEM, GAMMA, beta, 0.2, method=method, max_steps=STEPS, tol=None, engine="numpy",
        remainders="summed",
    )  # fmt: skip


def compare(run, beta, weights, logs, total):
    """Hold the end of a run, ln|w/w_0| + S and the sum of g against the reference."""
    np.testing.assert_allclose(weights[0], run.w_plus, rtol=1e-11)
    np.testing.assert_allclose(weights[1], run.w_minus, rtol=1e-11)
    np.testing.assert_allclose(
        total * GAMMA / (1 - beta), run.gradient_integral, rtol=1e-10, atol=1e-13
    )
    S_plus = np.asarray(logs[0]) - np.log(np.abs(run.w_plus / run.initial_w_plus))
    np.testing.assert_allclose(S_plus, run.S_plus, rtol=1e-8, atol=1e-11)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, cc")
@pytest.mark.parametrize("method", METHODS)
def test_c(tmp_path: Path, method: str) -> None:
    rule, beta = METHODS[method]
    source = write_kernels(tmp_path, rule, backend="c")
    library = tmp_path / "kernels.so"
    strict = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        ["cc", *strict, "-shared", "-fPIC", str(source), "-o", str(library), "-lm"], check=True
    )
    loaded = ctypes.CDLL(str(library))
    advance = getattr(loaded, f"{method}_diagonal_advance")
    n, d = PROBLEM.n, PROBLEM.d
    weights, moves = np.full((2, d), np.sqrt(2) * 0.2), np.zeros((2, d))
    total, theta, g = np.zeros(d), np.zeros(d), np.zeros(d)

    def pointer(array):
        return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))

    advance(
        ctypes.c_size_t(n), ctypes.c_size_t(d), pointer(PROBLEM.X), pointer(PROBLEM.y),
        ctypes.c_double(GAMMA), ctypes.c_double(beta), pointer(weights), pointer(moves),
        pointer(total), pointer(theta), pointer(g), ctypes.c_size_t(STEPS),
    )  # fmt: skip
    remainders = getattr(loaded, f"{method}_diagonal_remainders")
    logs = np.empty((d, 2))
    for j in range(d):
        state = (*weights[:, j], *moves[:, j], total[j], GAMMA, beta)
        remainders(*map(ctypes.c_double, state), pointer(logs[j]))
    compare(reference(method, beta), beta, weights, logs.T, total)


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("method", METHODS)
def test_jax(tmp_path: Path, method: str) -> None:
    jax = pytest.importorskip("jax", reason="JAX is an optional extra")
    jax.config.update("jax_enable_x64", True)
    rule, beta = METHODS[method]
    module = load(write_kernels(tmp_path, rule, backend="jax"))
    w0 = np.full(PROBLEM.d, np.sqrt(2) * 0.2)

    def train(gamma):
        state = module.start((jax.numpy.asarray(w0), jax.numpy.asarray(w0)))
        return module.advance(PROBLEM.X, PROBLEM.y, gamma, beta, state, STEPS)

    weights, moves, total = jax.jit(train)(GAMMA)
    logs = module.remainders(*weights, *moves, total, GAMMA, beta)
    compare(reference(method, beta), beta, *map(np.asarray, (weights, logs, total)))
    slope = jax.grad(lambda gamma: train(gamma)[0][0].sum())(GAMMA)
    step = 1e-6
    up, down = (float(train(GAMMA + s * step)[0][0].sum()) for s in (1, -1))
    assert float(slope) == pytest.approx((up - down) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_torch(tmp_path: Path, method: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra")
    rule, beta = METHODS[method]
    module = load(write_kernels(tmp_path, rule, backend="torch"))
    X, y = torch.tensor(PROBLEM.X), torch.tensor(PROBLEM.y)
    gamma = torch.tensor([[GAMMA], [GAMMA / 2]], dtype=torch.float64, requires_grad=True)
    w0 = torch.full((2, PROBLEM.d), np.sqrt(2) * 0.2, dtype=torch.float64)
    weights, moves, total = module.advance(X, y, gamma, beta, module.start((w0, w0)), STEPS)
    logs = module.remainders(*weights, *moves, total, gamma, beta)
    first = [np.stack([t[0].detach().numpy() for t in group]) for group in (weights, logs)]
    compare(reference(method, beta), beta, *first, total[0].detach().numpy())
    weights[0].sum().backward()
    assert gamma.grad is not None
    assert torch.isfinite(gamma.grad).all()


@pytest.mark.parametrize(
    "network",
    [
        SeparableNetwork((u,), u**2, name="square"),
        SeparableNetwork((u,), u**3, name="cubic"),
    ],
    ids=lambda network: network.name,
)
def test_numba_on_a_users_method_and_network(tmp_path: Path, network: SeparableNetwork) -> None:
    rule = QuasiHyperbolic(nu="7/10")
    numba, reference = (
        load(write_kernels(tmp_path, rule, network, backend)) for backend in ("numba", "numpy")
    )
    X, y, beta, lanes = PROBLEM.X, PROBLEM.y, 0.8, 3
    n, d = X.shape
    w, p, total, sums = np.full(d, 0.5), np.zeros(d), np.zeros(d), np.zeros(d)
    pending = reference.decay(beta) / (1 - reference.decay(beta))
    effect = reference.effect(GAMMA, beta, pending)
    for _ in range(50):
        g = X.T @ (X @ reference.parameter(w, p, beta) - y) / n
        w, p, s, _ = reference.step(w, p, g, GAMMA, beta, pending)
        total, sums = total + effect * g, sums + s
    # one coordinate, in the reference's order: for loops of one's own
    np.testing.assert_allclose(
        numba.step(0.5, 0.1, 0.3, GAMMA, beta, pending),
        reference.step(0.5, 0.1, 0.3, GAMMA, beta, pending),
    )
    data = numba.Data(X, y)
    rates = numba.Rates(np.array([GAMMA]), np.array([beta]), np.array([pending]))
    one = numba.Run(
        np.full((1, d), 0.5), np.zeros((1, d)), np.zeros(d), np.zeros((2, 0)), np.zeros(1)
    )
    numba.advance(data, rates, one, numba.Scratch(np.zeros(d), np.zeros(d)), 0, 50)
    np.testing.assert_allclose(one.W[0], w, rtol=1e-13)
    np.testing.assert_allclose(one.E, total, rtol=1e-12)
    size = d * lanes
    many = numba.Run(
        np.full((1, size), 0.5), np.zeros((1, size)), np.zeros(size), np.zeros((2, 0)),
        np.zeros((1, lanes)),
    )  # fmt: skip
    numba.advance_lanes(
        numba.Lanes(X, X[None].copy(), np.repeat(y[:, None], lanes, axis=1)),
        numba.Rates(np.full((lanes, 1), GAMMA), np.full((1, 1), beta), np.full((1, 1), pending)),
        many,
        numba.LaneScratch(np.zeros((d, lanes)), np.zeros((n, lanes)), np.zeros((d, lanes))),
        0,
        50,
    )
    np.testing.assert_allclose(many.W.reshape(d, lanes), np.repeat(w[:, None], lanes, axis=1))
    np.testing.assert_allclose(many.E.reshape(d, lanes)[:, 2], total, rtol=1e-12)
    assert reference.REMAINDERS
    (logs,) = reference.remainders(w, p, total, pending)
    np.testing.assert_allclose(logs, sums, rtol=1e-12)

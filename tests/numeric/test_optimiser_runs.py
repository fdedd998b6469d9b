"""Stated optimisers run as PyTorch and optax run them: every step, to rounding."""

from __future__ import annotations

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import LoopStatus, run_optimiser
from momentumflow.symbolic import (
    SGD,
    Adam,
    Lion,
    NAdam,
    Optimiser,
    RMSProp,
    from_optax,
    from_torch,
    update_source,
)
from momentumflow.symbolic.codegen.compiled import identifier

START = np.array([1.0, -0.7, 0.3])
STEPS = 40


def gradient(w):
    return w + np.sin(3 * w) / 2 + 0.1 * np.roll(w, 1)


def ours(read, **how):
    values = {identifier(s): x for s, x in read.values.items()}
    return run_optimiser(read.optimiser, gradient, START, STEPS, **values, **how).path


TORCH = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95)}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "eps": 1e-3}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2}),
    ("NAdam", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05, "momentum_decay": 0.0, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RMSprop", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.05, "centered": True, "momentum": 0.5, "weight_decay": 0.1}),
]


def torch_path(make, **settings):
    torch = pytest.importorskip("torch")
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps its product in the default precision
    try:
        w = torch.nn.Parameter(torch.tensor(START))
        optimizer = getattr(torch.optim, make)([w], **settings)
        path = [START]
        for _ in range(STEPS):
            w.grad = torch.tensor(gradient(w.detach().numpy()))
            optimizer.step()
            path.append(w.detach().numpy().copy())
    finally:
        torch.set_default_dtype(usual)
    return optimizer, np.array(path)


@pytest.mark.parametrize(("make", "settings"), TORCH)
def test_an_optimiser_of_pytorch_is_read_exactly(make, settings):
    optimizer, path = torch_path(make, **settings)
    assert ours(from_torch(optimizer)) == pytest.approx(path, rel=1e-10, abs=1e-12)


def test_another_optimiser_is_told_apart():
    """Negative control: what the readings differ in is far above rounding."""
    adam, path = torch_path("Adam", lr=0.05, weight_decay=0.2)
    adamw, _ = torch_path("AdamW", lr=0.05, weight_decay=0.2)
    assert np.abs(ours(from_torch(adamw)) - path).max() > 1e-3
    assert np.abs(ours(from_torch(adam)) - path).max() < 1e-12


OPTAX = [
    ("sgd", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    ("adam", {"learning_rate": 0.05, "b1": 0.8, "eps_root": 1e-4}),
    ("adamw", {"learning_rate": 0.05, "weight_decay": 0.1}),
    ("nadam", {"learning_rate": 0.05}),
    ("nadamw", {"learning_rate": 0.05, "weight_decay": 0.1}),
    ("rmsprop", {"learning_rate": 0.05, "eps": 1e-4}),
    ("rmsprop", {"learning_rate": 0.05, "centered": True, "momentum": 0.5, "nesterov": True}),
    ("rmsprop", {"learning_rate": 0.05, "eps_in_sqrt": False}),
    ("adabelief", {"learning_rate": 0.05, "eps": 1e-3, "eps_root": 1e-5}),
]


@pytest.mark.parametrize(("name", "settings"), OPTAX)
def test_an_optimiser_of_optax_is_read_exactly(name, settings):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    with jax.enable_x64(True):
        w = jax.numpy.asarray(START)
        rule = getattr(optax, name)(**settings)
        state, path = rule.init(w), [START]
        for _ in range(STEPS):
            updates, state = rule.update(jax.numpy.asarray(gradient(np.asarray(w))), state, w)
            w = optax.apply_updates(w, updates)
            path.append(np.asarray(w))
    found = ours(from_optax(name, settings))
    assert found == pytest.approx(np.array(path), rel=1e-9, abs=1e-11)


@pytest.mark.parametrize(
    "optimiser", [Adam(), NAdam(), SGD(dampening="1/4"), Lion(), RMSProp()], ids=lambda o: o.name
)
@pytest.mark.parametrize("library", ["numpy", "jax", "torch"])
def test_generated_updates_do_what_the_loop_does(optimiser, library):
    """Each source is compiled by itself and run in its own library."""
    names = [identifier(p) for p in optimiser.parameters]
    values = dict(zip(names, np.linspace(0.3, 0.6, len(names)), strict=True))
    run = run_optimiser(optimiser, gradient, START, 10, gamma=0.05, **values)
    if library == "jax":
        jax = pytest.importorskip("jax")
        with jax.enable_x64(True):
            found = _driven(optimiser, library, values, jax.numpy.asarray)
    elif library == "torch":
        found = _driven(optimiser, library, values, pytest.importorskip("torch").tensor)
    else:
        found = _driven(optimiser, library, values, np.asarray)
    assert found == pytest.approx(run.w, rel=1e-13)


def _driven(optimiser, library, values, array):
    namespace = {}
    source = update_source(optimiser, library)
    assert "generated by momentumflow" in source
    exec(source, namespace)
    w, held = array(START), [array(np.zeros(3)) for _ in optimiser.memories]
    for k in range(1, 11):
        step = namespace.get("first_update", namespace["update"]) if k == 1 else namespace["update"]
        w, *held = step(array(gradient(np.asarray(w))), w, *held, k, 0.05, *values.values())
    return np.asarray(w)


def test_schedules_are_functions_of_the_steps_taken_or_arrays():
    def pace(i):
        return 0.1 / (1 + i)

    optimiser = SGD()
    by_call = run_optimiser(optimiser, gradient, START, 9, gamma=pace, beta=0.9)
    by_row = run_optimiser(
        optimiser, gradient, START, 9, gamma=[pace(i) for i in range(9)], beta=0.9
    )
    assert (by_call.path == by_row.path).all()
    # learning rate .1 then .01, gradient 1, velocity in units of the gradient
    two = run_optimiser(optimiser, np.ones_like, [0.0], 2, gamma=[0.1, 0.01], beta=0.9)
    assert two.w[0] == pytest.approx(-0.119)
    # the time of a schedule stated inside the move counts gamma times the steps
    timed = Optimiser.parse("w = w - lr*g/(1 + t)")
    inside = run_optimiser(timed, np.ones_like, [0.0], 3, gamma=0.5)
    assert inside.w[0] == pytest.approx(-0.5 * (1 + 1 / 1.5 + 1 / 2))


def test_a_run_that_diverges_says_so_and_keeps_what_is_finite():
    run = run_optimiser(SGD(momentum=0), lambda w: w**3, [10.0], 50, gamma=1.0)
    assert run.status is LoopStatus.DIVERGED
    assert "smaller step" in run.status.value
    assert np.isfinite(run.path).all()
    assert run.steps < 50


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run_optimiser(SGD(), gradient, START, 2, gamma=0.1), "values for beta"),
        (lambda: run_optimiser(SGD(), gradient, START, 2, gamma=[0.1], beta=0.5), "each of 2"),
        (
            lambda: run_optimiser(SGD(momentum=0), lambda w: w[:1], START, 2, gamma=0.1),
            "gradient of shape",
        ),
        (
            lambda: run_optimiser(
                SGD(), gradient, START, 2, gamma=0.1, beta=0.5, memories={"m": 0}
            ),
            "memories among v",
        ),
        (lambda: from_optax("lion", {"learning_rate": 1}), "not smooth"),
        (lambda: from_optax("adam", {}), "learning_rate"),
        (lambda: from_optax("adam", {"learning_rate": 1, "beta": 1}), "arguments among"),
        (lambda: from_optax("adam", {"learning_rate": lambda i: 1.0}), "schedule"),
        (lambda: from_torch(3), "PyTorch"),
    ],
)
def test_wrong_calls_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("switch", ["amsgrad", "maximize"])
def test_what_no_memory_can_state_is_refused_with_the_reason(switch):
    optimizer, _ = torch_path("Adam", **{switch: True})
    with pytest.raises(InputError, match=f"without {switch}"):
        from_torch(optimizer)

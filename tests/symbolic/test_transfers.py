"""Hyperparameters carried over: against rules in print, and training that stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import run_optimiser
from momentumflow.symbolic import from_optax, from_torch, transfer
from momentumflow.symbolic.codegen.compiled import identifier
from momentumflow.symbolic.methods.read_optimisers import read_settings

ADAMW = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}


def group(name, **settings):
    """An optimiser as PyTorch shows it, without PyTorch."""
    return type(name, (), {"param_groups": [{"params": [], **settings}]})()


def test_adam_with_noise_has_the_square_root_rule():
    """Malladi et al., NeurIPS 2022: (sqrt k) gamma, k (1 - b), eps/sqrt k."""
    found = transfer("adamw", ADAMW, batch_size=256, to_batch_size=1024)
    assert found.rho == pytest.approx(4)
    settings = found.settings
    assert settings["lr"] == pytest.approx(2e-3)
    assert settings["betas"] == pytest.approx((0.6, 0.996))
    assert settings["eps"] == pytest.approx(5e-9)
    assert found.steps == pytest.approx(1 / 4)  # the same number of examples
    assert found.after["batch size"] == pytest.approx(1024)


def test_sgd_has_the_linear_rule_and_heavy_ball_its_own():
    linear = transfer("sgd", {"lr": 0.1}, batch_size=32, to_batch_size=96)
    assert linear.settings == pytest.approx({"lr": 0.3})
    heavy = transfer("sgd", {"lr": 0.1, "momentum": 0.9}, batch_size=32, to_batch_size=96)
    assert heavy.settings == pytest.approx({"lr": 0.9, "momentum": 0.7})
    # lambda = gamma/(1 - beta)^2, by hand
    assert next(iter(heavy.kept.values())) == pytest.approx(10)


def test_what_is_kept_is_kept():
    """Each product of before, computed from the numbers after."""
    found = transfer("adamw", ADAMW, batch_size=64, to_batch_size=128)
    names = read_settings("adamw", ADAMW).names
    after = {s: found.after[name] for name, s in names.items()}
    before = {s: found.before[name] for name, s in names.items()}
    checked = 0
    for product, value in found.kept.items():
        if product.free_symbols <= set(after):
            checked += 1
            assert float(product.subs(after)) == pytest.approx(value)
            assert float(product.subs(before)) == pytest.approx(value)
    assert checked == 4


def test_a_parameter_group_of_pytorch_and_optax_are_read_and_written_back():
    optimizer = group("AdamW", maximize=False, **ADAMW)
    found = transfer(optimizer, batch_size=256, to_batch_size=1024)
    assert found == transfer("adamw", ADAMW, batch_size=256, to_batch_size=1024)
    optimizer.param_groups[0].update(found.settings)
    back = transfer(optimizer, batch_size=1024, to_batch_size=256)
    assert back.settings["betas"] == pytest.approx((0.9, 0.999))
    assert back.settings["lr"] == pytest.approx(1e-3)
    read = from_optax("adamw", {"learning_rate": 1e-3, "weight_decay": 0.01})
    same = transfer(read, batch_size=256, to_batch_size=1024)
    assert same.settings["b1"] == pytest.approx(0.6)
    assert same.settings["learning_rate"] == pytest.approx(2e-3)
    # a plain parameter group goes with a name
    by_group = transfer("AdamW", from_group(optimizer), batch_size=1024, to_batch_size=256)
    assert by_group == back


def from_group(optimizer):
    return optimizer.param_groups[0]


def path(settings, steps, name="adam"):
    """Iterates of a stated optimiser on a nonlinear loss, memories from zero."""
    read = read_settings(name, settings)
    values = {identifier(s): x for s, x in read.values.items()}

    def gradient(w):
        return w + np.sin(2 * w) / 2 + 0.2 * np.roll(w, 1)

    return run_optimiser(read.optimiser, gradient, [1.0, -0.6], steps, **values).path


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adam", {"lr": 4e-3, "betas": (0.96, 0.98), "eps": 0.1}),
        ("sgd", {"lr": 1e-4, "momentum": 0.96}),
    ],
)
def test_training_stays_as_it_was(name, settings):
    """Without noise: half as many steps from the same start pass the same places."""
    steps = 600
    found = transfer(name, settings, steps=steps, to_steps=steps // 2, noise=False)
    slow, fast = path(settings, steps, name), path({**settings, **found.settings}, steps // 2, name)
    moved = np.abs(slow[-1] - slow[0]).max()
    distance = np.abs(slow[::2] - fast).max() / moved
    assert distance < 0.05
    # negative control: only the step is changed, as if there were no memories
    lr = {"lr": found.settings["lr"]}
    naive = np.abs(slow[::2] - path({**settings, **lr}, steps // 2, name)).max() / moved
    assert naive > 3 * distance


def test_the_first_neglected_term_is_half_of_what_a_memory_forgets():
    """ln b = -(1 - b) (1 + (1 - b)/2 + ...): the leading equation forgets too slowly by that."""
    found = transfer("adamw", ADAMW, batch_size=256, to_batch_size=1024)
    assert found.neglected["m"] == pytest.approx((0.05, 0.2))
    assert found.neglected["v"] == pytest.approx((0.0005, 0.002))
    for before, b in ((0, 0.9), (1, 0.6)):
        exact = -np.log(b) / (1 - b) - 1
        assert found.neglected["m"][before] == pytest.approx(exact, rel=0.35)
    # gradient descent has no memory: half the step for each unit of curvature
    (only,) = transfer("sgd", {"lr": 0.1}, batch_size=1, to_batch_size=2).neglected.values()
    assert only == pytest.approx((0.05, 0.1))


BATCH = {"batch_size": 256, "to_batch_size": 1024}


@pytest.mark.parametrize(
    ("arguments", "how", "message"),
    [
        (("adamx", {"lr": 1}), BATCH, "did you mean 'adam"),
        (("adam", {}), BATCH, "learning rate"),
        (("adam", {"lr": 1, "betas": (0.9, 1.0)}), BATCH, r"betas\[1\] in \[0, 1\)"),
        (("adam", {"lr": 1, "betas": 0.9}), BATCH, "a pair"),
        (("adam", {"lr": 1, "momentum": 0.9}), BATCH, "settings of adam among"),
        (("adam", {"lr": 0}), BATCH, "lr > 0"),
        (("adam", {"lr": 1}), {}, "one of to_batch_size, to_momentum, to_steps"),
        (("adam", {"lr": 1}), {**BATCH, "to_momentum": 0.5}, "one of to_batch_size"),
        (("adam", {"lr": 1}), {**BATCH, "noise": False}, "let noise count"),
        (("adam", {"lr": 1}), {"to_batch_size": 3}, "the batch size now"),
        (("adam", {"lr": 1}), {"batch_size": 0, "to_batch_size": 3}, "batch_size > 0"),
        (("adam", {"lr": 1}), {"to_steps": 3}, "the number of steps now"),
        (("adam", {"lr": 1}), {"batch_size": 1, "to_batch_size": 11}, "rho may be 10"),
        (("sgd", {"lr": 1}), {"to_momentum": 0.5}, "momentum"),
        ((3,), BATCH, "PyTorch"),
    ],
)
def test_wrong_calls_are_refused_in_a_sentence(arguments, how, message):
    with pytest.raises(InputError, match=message):
        transfer(*arguments, **how)


def test_one_object_or_one_name_not_both():
    with pytest.raises(InputError, match="name of an optimiser"):
        transfer(group("AdamW", **ADAMW), {"lr": 1}, **BATCH)
    assert from_torch(group("AdamW", **ADAMW)).names["lr"].name == "gamma"

"""Pictures show the numbers of the results they are of."""

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.base.figures import SERIES
from momentumflow.numeric import (
    implicit_solution,
    momentum_descent,
    momentum_flow,
    plot_sweep,
    sparse_regression,
    sweep,
)

PROBLEM = sparse_regression(6, 9, 2, seed=1)


def drawn(axes):
    """Return the data of the lines of axes by their labels."""
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}


def test_a_run_is_drawn_with_its_predicted_limit_and_the_teacher():
    run = momentum_descent(PROBLEM, 0.05, 0.5, 0.5)
    (axes,) = run.plot().axes
    lines = drawn(axes)
    np.testing.assert_array_equal(lines["end of the run"], run.theta)
    np.testing.assert_array_equal(lines["predicted limit"], run.predicted_limit().theta)
    np.testing.assert_array_equal(lines["teacher"], PROBLEM.teacher)
    # what a notebook shows where nobody imported pyplot
    assert run.plot()._repr_svg_().startswith("<svg")


def test_a_run_with_records_is_drawn_on_its_way():
    run = momentum_flow(PROBLEM, 0.5, 0.5, t_eval=np.linspace(0.1, 30.0, 20))
    way, loss, _ = run.plot().axes
    (curve,) = loss.lines
    np.testing.assert_array_equal(curve.get_ydata(), run.path.loss)
    largest = int(np.argmax(np.abs(run.theta)))
    np.testing.assert_array_equal(drawn(way)[f"θ[{largest}]"], run.path.theta[:, largest])
    crosses = [line for line in way.lines if line.get_marker() == "x"]
    assert len(crosses) == len(SERIES)
    np.testing.assert_allclose(crosses[0].get_ydata(), run.predicted_limit().theta[largest])


def test_one_of_a_batch_is_drawn():
    runs = momentum_descent(PROBLEM, np.array([0.05, 0.02]), 0.5, 0.5)
    (axes,) = runs.plot(1).axes
    np.testing.assert_array_equal(drawn(axes)["end of the run"], runs.theta[1])
    assert np.any(runs.theta[0] != runs.theta[1])
    for index in (None, 2, (0, 0)):
        with pytest.raises(InputError, match="index as one of a batch of shape"):
            runs.plot(index)
    with pytest.raises(InputError, match="no index"):
        momentum_descent(PROBLEM, 0.05, 0.5, 0.5).plot(0)


def test_a_diverged_run_is_drawn_without_a_limit():
    run = momentum_descent(PROBLEM, 50.0, 0.5, 0.5)
    assert run.status.name == "DIVERGED"
    (axes,) = run.plot().axes
    assert np.isnan(drawn(axes)["predicted limit"]).all()


def test_a_solution_is_drawn():
    solution = implicit_solution(PROBLEM, 0.1)
    (axes,) = solution.plot().axes
    np.testing.assert_array_equal(drawn(axes)[solution.potential.name], solution.theta)


def test_a_sweep_is_drawn_over_one_axis_a_curve_for_each_value_of_another():
    found = sweep(gamma=[0.01, 0.05, 0.1], beta=[0.0, 0.5], alpha=0.5, seeds=3, max_steps=50)
    (axes,) = plot_sweep(found).axes
    lines = drawn(axes)
    for i, beta in enumerate((0.0, 0.5)):
        expected = np.median(found["loss"].isel(beta=i).transpose("seed", "gamma"), axis=0)
        np.testing.assert_allclose(lines[f"beta = {beta:g}"], expected)
    assert axes.get_xlabel() == "gamma"
    (axes,) = plot_sweep(found.sel(beta=0.5), "steps").axes
    assert axes.get_ylabel() == "steps"


def test_what_cannot_be_drawn_is_refused():
    found = sweep(gamma=[0.01, 0.1], beta=[0.0, 0.5], alpha=[0.1, 0.5], seeds=1, max_steps=5)
    with pytest.raises(InputError, match="one axis beside gamma"):
        plot_sweep(found, x="gamma")
    with pytest.raises(InputError, match="a measure among steps"):
        plot_sweep(found, "lss")
    with pytest.raises(InputError, match="x as one of"):
        plot_sweep(found, x="seed")
    with pytest.raises(InputError, match="the Dataset of a sweep"):
        plot_sweep("sweep.nc")

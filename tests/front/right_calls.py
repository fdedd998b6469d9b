"""One right call of every public callable: what to call, and its arguments by name."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

import momentumflow as mf
from momentumflow import numeric, symbolic, verify
from momentumflow.numeric import implicit
from momentumflow.symbolic.symbols import beta, gamma, h, rho, u, v

X = [[1.0, 2.0, -0.5], [0.5, -1.0, 1.0]]
Y = [1.0, -0.5]
ONES = np.ones(3)


@cache
def problem() -> Any:
    return numeric.Regression(X, Y)


@cache
def solution() -> Any:
    return numeric.implicit_solution(problem(), 0.1)


@cache
def run() -> Any:
    return numeric.momentum_descent(problem(), 0.1, 0.5, 0.5, record_every=50, max_steps=3000)


def noisy_rows() -> Any:
    return numeric.minibatch_noise(problem(), 1, eps=0.1, lam=0.5)


@cache
def equation() -> Any:
    return symbolic.modified_equation(symbolic.HeavyBall(), 1, "slow")


@cache
def claim() -> Any:
    found = verify.Evidence((measurement(),))
    return verify.Claim("small", "theme", "title", "statement", (), "source", lambda *_: found, ())


@cache
def measurement() -> Any:
    return verify.Measurement("quantity", 0.5, "<= 1", verify.Verdict.SUPPORTED)


@cache
def report() -> Any:
    return verify.run(claims=[claim()])


def entropy() -> Any:
    return numeric.HyperbolicEntropy(np.log(0.1 * ONES), 0.1 * ONES)


def derived() -> Any:
    return numeric.potential_of_map("u*v", {"u": 0.5 * ONES, "v": 0.25 * ONES})


POTENTIALS: dict[str, Callable[[], Any]] = {
    "HyperbolicEntropy": entropy,
    "DepthEntropy": lambda: numeric.DepthEntropy.from_scale(0.5 * ONES, 3, 0.1 * ONES),
    "KullbackLeibler": lambda: numeric.KullbackLeibler(np.log(0.1 * ONES)),
    "WeightedL2": lambda: numeric.WeightedL2(ONES, 0.1 * ONES),
    "DerivedPotential": derived,
    "NetworkPotential": lambda: numeric.potential_of_map(
        "u**3 - v**3", {"u": 0.9 * ONES, "v": 0.5 * ONES}
    ),
}


def _fields(value: Any) -> dict[str, Any]:
    """Return the constructor's arguments that made a result."""
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}


def _symbolic() -> dict[str, tuple[Any, dict[str, Any]]]:
    method = symbolic.HeavyBall()
    recurrence = method.recurrence
    quadratic = sp.Symbol("x") ** 2 + sp.Symbol("x") ** 4 / 5
    series = equation()
    tree = symbolic.tree("[]")
    proof = symbolic.Identity("i", u + u, 2 * u).prove()
    mirror = symbolic.mirror_flow("u*v")
    law = symbolic.RemainderLaw.of_map(method, "u*v")
    rule = symbolic.acceleration_rule(method)
    loss_map = symbolic.memoryless_map(method, 1)
    first = symbolic.leading_equation(method).first_order_form()
    rhs = series.rhs("x**2 + x**4/5", ["x"], gamma=0.1, beta=0.5)
    iterated = loss_map.iteration("x**2 + x**4/5", ["x"], gamma=0.1, beta=0.5)
    point = [[0.5], [0.25]]
    noisy = symbolic.stochastic_equation(method, 1)
    slow = symbolic.stochastic_equation(method, 1, "slow")
    moving = slow.on_arrays("x**2 + x**4/5", "1/4", ["x"], gamma=0.1, beta=0.5)
    moments = symbolic.quadratic_moments(method)
    settling = moments.on_arrays([[1.0]], [[0.5]], gamma=0.1, beta=0.5)
    spread = {"loss": quadratic, "covariance": "1/4", "variables": ["x"]}
    gradients = [(1, {0: 1})]
    left = {1: 1, 0: -1 - beta, -1: beta}
    module = {
        "method": method, "network": symbolic.DiagonalNetwork().balanced, "backend": "numpy"
    }  # fmt: skip
    return {
        "AccelerationRule": (symbolic.AccelerationRule, _fields(rule)),
        "AccelerationRule.apply": (
            rule.apply,
            {"values": {"gamma": 0.01, "beta": 0.9}, "factor": 2},
        ),
        "ContractionSeries": (symbolic.ContractionSeries, _fields(noisy.drift["v"])),
        "ContractionSeries.coefficient": (noisy.drift["v"].coefficient, {"text": "f"}),
        "Diffusion.covariance": (moving.covariance, {"w": point, "v": None}),
        "Diffusion.drift": (moving.drift, {"w": point, "v": None}),
        "Diffusion.noise": (moving.noise, {"w": point, "v": None}),
        "Diffusion.kick": (moving.kick, {"w": point, "v": None, "xi": point}),
        "StochasticEquation": (symbolic.StochasticEquation, _fields(noisy)),
        "StochasticEquation.on_arrays": (
            slow.on_arrays, {**spread, "gamma": 0.1, "beta": 0.5},
        ),
        "StochasticEquation.written_out": (noisy.written_out, spread),
        "EpochLoss": (symbolic.EpochLoss, _fields(symbolic.epoch_loss(method, 2))),
        "EpochLoss.specialise": (
            symbolic.epoch_loss(method, 2).specialise,
            {"losses": [quadratic, quadratic / 2], "variables": ["x"]},
        ),
        "epoch_loss": (
            symbolic.epoch_loss, {"method": method, "batches": 3, "replacement": False},
        ),
        "LinearProcess": (symbolic.LinearProcess, _fields(settling)),
        "LinearProcess.after": (
            settling.after, {"time": 3, "start": [1.0], "covariance": np.eye(2)},
        ),
        "QuadraticMoments": (symbolic.QuadraticMoments, _fields(moments)),
        "QuadraticMoments.on_arrays": (
            moments.on_arrays,
            {"hessian": [[1.0]], "covariance": [[0.5]], "gamma": 0.1, "beta": 0.5},
        ),
        "QuadraticMoments.variance": (moments.variance, {"curvature": h}),
        "quadratic_moments": (symbolic.quadratic_moments, {"of": method}),
        "moment_identities": (symbolic.moment_identities, {"equation": noisy}),
        "stochastic_equation": (
            symbolic.stochastic_equation,
            {"method": method, "order": 1, "regime": "slow", "noise": "kept", "constant": False},
        ),
        "Commutation": (symbolic.Commutation, _fields(symbolic.commutation(["u*v"], ["u", "v"]))),
        "DiagonalNetwork.identity": (
            symbolic.DiagonalNetwork().identity,
            {"name": symbolic.DiagonalNetwork().identities[0].name},
        ),
        "Energy": (symbolic.Energy, _fields(symbolic.energy(method))),
        "FirstOrderForm": (symbolic.FirstOrderForm, _fields(first)),
        "GradientDescent": (symbolic.GradientDescent, {"gamma": gamma}),
        "HeavyBall": (symbolic.HeavyBall, {"beta": sp.Rational(1, 2), "gamma": gamma}),
        "Nesterov": (symbolic.Nesterov, {"beta": sp.Rational(1, 2), "gamma": gamma}),
        "QuasiHyperbolic": (
            symbolic.QuasiHyperbolic,
            {"beta": sp.Rational(1, 2), "nu": sp.Rational(7, 10), "gamma": gamma},
        ),
        "Identity": (symbolic.Identity, _fields(proof.identity)),
        "Identity.counterexample": (
            symbolic.Identity("i", u, 2 * u).counterexample,
            {"attempts": 2, "seed": 1},
        ),
        **_of_theorems(),
        **_of_optimisers(),
        "Kernel": (symbolic.Kernel, _fields(symbolic.kernel("u*v", ["u", "v"]))),
        "Kernel.__call__": (
            lambda first, second: symbolic.kernel("u*v", ["u", "v"])(first, second),
            {"first": 0.5, "second": 2.0},
        ),
        "MemorylessMap": (
            symbolic.MemorylessMap,
            {"method": method, "order": 1, "coefficients": {tree: gamma}},
        ),
        "MemorylessMap.iteration": (
            loss_map.iteration,
            {"loss": quadratic, "variables": ["x"], "gamma": 0.1, "beta": 0.5},
        ),
        "Iteration.__call__": (iterated, {"w": point}),
        "Iteration.run": (iterated.run, {"w": point, "steps": 3}),
        "MirrorFlow": (symbolic.MirrorFlow, _fields(mirror)),
        "ModifiedEquation": (
            symbolic.ModifiedEquation,
            {
                "method": method, "order": 1, "regime": "slow", "coefficients": {tree: gamma},
                "scaling": None, "initial_velocity": None,
            },
        ),
        "ModifiedEquation.rhs": (
            series.rhs,
            {"loss": quadratic, "variables": ["x"], "gamma": 0.1, "beta": 0.5},
        ),
        "RightHandSide.__call__": (rhs, {"w": point, "v": None}),
        "RightHandSide.initial_velocity": (
            symbolic.leading_equation(symbolic.QuasiHyperbolic(nu=sp.Rational(1, 2)))
            .rhs("x**2", ["x"], gamma=0.1, beta=0.5).initial_velocity,
            {"w": point},
        ),
        "RightHandSide.system": (rhs.system, {"t": 0.0, "y": [0.5]}),
        "ModifiedLoss": (symbolic.ModifiedLoss, _fields(symbolic.modified_loss(method, 1))),
        "MomentumMethod": (
            symbolic.MomentumMethod,
            {
                "name": "own", "recurrence": recurrence, "start": None, "step": gamma,
                "momentum": beta,
            },
        ),
        "MomentumMethod.from_recurrence": (
            symbolic.MomentumMethod.from_recurrence,
            {"left": left, "gradients": gradients, "name": "own", "step": gamma, "momentum": beta},
        ),
        "MomentumMethod.parse": (
            symbolic.MomentumMethod.parse,
            {"text": "w[k+1] = w[k] + gamma*f(w[k])", "name": "own", "momentum": None},
        ),
        "MomentumMethod.with_values": (method.with_values, {"values": {"beta": sp.Rational(1, 2)}}),
        "Obstruction": (
            symbolic.Obstruction,
            {"first": tree, "second": tree, "difference": beta},
        ),
        "PolarFlow": (
            symbolic.PolarFlow, {"network": symbolic.DiagonalNetwork().balanced}),
        "RemainderLaw": (symbolic.RemainderLaw, _fields(law)),
        "RemainderLaw.moves": (law.moves, {"decay": "coupled"}),
        "RemainderLaw.telescoping": (
            law.telescoping, {"weight": law.step.weights[0], "move": law.moves()[0]}),
        "RemainderLaw.of_map": (
            symbolic.RemainderLaw.of_map, {"method": method, "parameter": "u**2"}),
        "Straightening": (symbolic.Straightening, _fields(symbolic.straightened("u*v"))),
        "PrincipalFlow": (symbolic.PrincipalFlow, _fields(symbolic.principal_flow(method))),
        "Proof": (symbolic.Proof, _fields(proof)),
        "Recurrence": (symbolic.Recurrence, _fields(recurrence)),
        "Recurrence.of": (symbolic.Recurrence.of, {"left": left, "gradients": gradients}),
        "Recurrence.left_moment": (recurrence.left_moment, {"m": 1}),
        "Recurrence.point_moment": (recurrence.point_moment, {"i": 0, "m": 1}),
        "Recurrence.left_polynomial": (recurrence.left_polynomial, {"x": sp.Symbol("x")}),
        "Recurrence.shifted": (recurrence.shifted, {"by": 1}),
        "Recurrence.equation": (recurrence.equation, {"step": gamma}),
        "Recurrence.subs": (recurrence.subs, {"values": {beta: sp.Rational(1, 2)}}),
        "SeparableNetwork.of_map": (
            symbolic.SeparableNetwork.of_map, {"text": "u**2 - v**2", "name": "own"}),
        "as_latex": (symbolic.as_latex, {"expr": u + v}),
        "as_text": (symbolic.as_text, {"expr": u + v}),
        "kernel_file_name": (symbolic.kernel_file_name, module),
        "kernel_source": (symbolic.kernel_source, module),
        "known_method": (symbolic.known_method, {"name": "nesterov"}),
        "written_out": (symbolic.written_out, {"series": series, "loss": quadratic}),
        "SeparableNetwork": (
            symbolic.SeparableNetwork,
            {"coordinates": (u, v), "parameter": u**2 - v**2, "force": (), "name": "own"},
        ),
        "Term": (symbolic.Term, {"tree": tree, "coefficient": beta}),
        "TreeSeries": (
            symbolic.TreeSeries,
            {"left_hand_side": "w'", "coefficients": {tree: gamma}, "max_nodes": 3},
        ),
        "TreeSeries.coefficient": (series.coefficient, {"spec": "[]"}),
        "TreeSeries.subs": (series.subs, {"values": {beta: sp.Rational(1, 2)}}),
        "TreeSeries.specialise": (
            series.specialise,
            {"loss": quadratic, "variables": ["x"], "velocity": [sp.Symbol("s")]},
        ),
        "TreeSeries.latex": (series.latex, {"notation": "derivatives"}),
        "TreeSeries.latex_pieces": (series.latex_pieces, {"notation": "derivatives"}),
        "TreeSeries.to_latex_document": (series.to_latex_document, {"notation": "derivatives"}),
        "TreeSeries.to_module": (series.to_module, {"path": "module.py"}),
        "acceleration_rule": (symbolic.acceleration_rule, {"method": method, "rho": rho}),
        "commutation": (symbolic.commutation, {"maps": ["u*v"], "weights": ["u", "v"]}),
        "energy": (symbolic.energy, {"method": method, "order": 1}),
        "friction": (symbolic.friction, {"method": method}),
        "friction_identities": (symbolic.friction_identities, {"method": method}),
        "intrinsic_parameter": (symbolic.intrinsic_parameter, {"method": method}),
        "kernel": (
            symbolic.kernel,
            {"expressions": "u*v + 1", "arguments": ["u", "v"], "name": "product"},
        ),
        "leading_equation": (symbolic.leading_equation, {"method": method}),
        "memoryless_map": (symbolic.memoryless_map, {"method": method, "order": 1}),
        "mirror_flow": (
            symbolic.mirror_flow,
            {"parameter": "u**2 - v**2", "weights": ["u", "v"], "equal_start": False},
        ),
        "modified_equation": (
            symbolic.modified_equation,
            {"method": method, "order": 1, "regime": "slow"},
        ),
        "modified_loss": (symbolic.modified_loss, {"method": method, "order": 1, "of": "flow"}),
        "principal_flow": (symbolic.principal_flow, {"method": method, "curvature": h}),
        "refined_parameter": (symbolic.refined_parameter, {"method": method, "order": 1}),
        "slow_root_series": (symbolic.slow_root_series, {"method": method, "order": 2}),
        "stability_limit": (symbolic.stability_limit, {"method": method}),
        "straightened": (
            symbolic.straightened,
            {"parameter": "u**2 - v**2", "weights": ["u", "v"], "equal_start": False},
        ),
        "time_step": (symbolic.time_step, {"method": method}),
        "tree": (symbolic.tree, {"spec": "[[],[]]"}),
        "uniqueness_defect": (symbolic.uniqueness_defect, {"method": method, "order": 2}),
        "write_kernels": (
            symbolic.write_kernels,
            {"directory": "kernels", "method": method, "network": None, "backend": "numpy"},
        ),
    }  # fmt: skip


def swept() -> Any:
    return numeric.sweep(gamma=[0.1, 0.2], beta=0.5, alpha=0.5, seeds=2, max_steps=5)


def _numeric() -> dict[str, tuple[Any, dict[str, Any]]]:
    data, found, trained = problem(), solution(), run()
    potential = entropy()
    path = numeric.regularisation_path(data, [0.1, 0.01])
    model = numeric.ImplicitModel(data, 0.1)
    slope = implicit.sensitivity(data, found)
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "Certificate": (numeric.Certificate, dict.fromkeys(
            ("feasibility", "stationarity", "gap", "error", "objective"), np.zeros(1))),
        "ConstrainedSolution": (
            numeric.ConstrainedSolution,
            {"theta": ONES, "status": numeric.ImplicitStatus.CERTIFIED, "solution": None,
             "multipliers": (), "slack": 0.0},
        ),
        "DepthEntropy.from_scale": (
            numeric.DepthEntropy.from_scale, {"alpha": 0.5, "depth": 3, "reference": 0.1}),
        "Enclosure": (numeric.Enclosure, _fields(numeric.enclose(data, found, digits=8))),
        "Enclosure.decimal": (numeric.enclose(data, found, digits=8).decimal, {"index": 0}),
        "FlowSensitivity": (numeric.FlowSensitivity, dict.fromkeys(
            ("theta", "w_plus", "w_minus", "error"), ONES)),
        "HyperbolicEntropy.from_balancedness": (
            numeric.HyperbolicEntropy.from_balancedness, {"balancedness": 0.1, "reference": 0.5}),
        "ImplicitModel": (
            numeric.ImplicitModel,
            {"problem": (X, Y), "balancedness": 0.1, "reference": 0.5, "log_balancedness": None,
             "shift": None, "potential": None},
        ),
        "ImplicitModel.solve": (
            model.solve,
            {"constraints": [model.theta >= -5], "cvxpy_solver": "CLARABEL", "tolerance": 1e-9},
        ),
        "ImplicitSolution": (numeric.ImplicitSolution, _fields(found)),
        "ImplicitSolution.plot": (found.plot, {"index": None}),
        "ImplicitSolution.to_xarray": (found.to_xarray, {"feature_names": ["a", "b", "c"]}),
        "ImplicitSolution.to_frame": (found.to_frame, {"feature_names": ["a", "b", "c"]}),
        "KullbackLeibler.from_reference": (
            numeric.KullbackLeibler.from_reference, {"reference": 0.5}),
        "Path": (numeric.Path, _fields(trained.path)),
        "Path.to_xarray": (trained.path.to_xarray, {"feature_names": ["a", "b", "c"]}),
        "Path.to_frame": (trained.path.to_frame, {"feature_names": ["a", "b", "c"]}),
        "PredictedLimit": (numeric.PredictedLimit, _fields(trained.predicted_limit())),
        "PredictedLimit.to_xarray": (
            trained.predicted_limit().to_xarray, {"feature_names": ["a", "b", "c"]}),
        "Regression": (
            numeric.Regression,
            {"X": X, "y": Y, "feature_names": ["a", "b", "c"], "name": "own", "teacher": ONES},
        ),
        "Regression.nearest_consistent": (
            numeric.Regression.nearest_consistent,
            {"X": X, "y": Y, "feature_names": ["a", "b", "c"], "name": "own"},
        ),
        "Regression.residual": (data.residual, {"theta": ONES}),
        "Regression.row_residual": (data.row_residual, {"theta": ONES}),
        "Regression.loss": (data.loss, {"theta": ONES}),
        "Regression.gradient": (data.gradient, {"theta": ONES}),
        "Regression.to_frame": (data.to_frame, {"target": "y"}),
        "RegularisationPath": (numeric.RegularisationPath, _fields(path)),
        "RegularisationPath.to_xarray": (path.to_xarray, {"feature_names": ["a", "b", "c"]}),
        "RegularisationPath.to_frame": (path.to_frame, {"feature_names": ["a", "b", "c"]}),
        "Schedule": (numeric.Schedule, {"values": [0.1, 0.2]}),
        "Schedule.__call__": (numeric.Schedule([0.1, 0.2]), {"step": 1}),
        "SignChanges": (
            numeric.SignChanges,
            {"time": np.zeros(1), "weight": np.array(["w_plus"]), "coordinate": np.array([0])},
        ),
        "Trajectory": (numeric.Trajectory, _fields(trained)),
        "Trajectory.advice": (trained.advice, {"status": trained.status}),
        "Trajectory.ending": (trained.ending, {"status": trained.status}),
        "Trajectory.plot": (trained.plot, {"index": None}),
        "Trajectory.predicted_limit": (
            trained.predicted_limit, {"solver": "newton", "tolerance": 1e-9}),
        "WeightedL1": (numeric.WeightedL1, {"weights": ONES, "negative_weights": 2 * ONES}),
        "WeightedL1.broadcast_to": (numeric.WeightedL1(ONES).broadcast_to, {"shape": (2, 3)}),
        "WeightedL1.scaled": (numeric.WeightedL1(ONES).scaled, {"scale": ONES}),
        "WeightedL1.take": (numeric.WeightedL1(ONES).take, {"index": 0}),
        "WeightedL1.value": (numeric.WeightedL1(ONES).value, {"theta": ONES}),
        "Sensitivity.along_target": (slope.along_target, {"dy": [0.1, 0.2]}),
        "Sensitivity.along": (slope.along, {"name": "balancedness", "dp": 0.1}),
        "Sensitivity.by": (slope.by, {"name": "balancedness"}),
        "certify": (
            numeric.certify,
            {"X": np.array([X]), "y": np.array([Y]), "potential": potential,
             "theta": found.theta[None], "nu": found.dual[None], "nu_tail": np.zeros((1, 2))},
        ),
        "diabetes_regression": (numeric.diabetes_regression, {"rows": 5}),
        "enclose": (numeric.enclose, {"problem": data, "solution": found, "digits": 8}),
        "OptimiserRun": (
            numeric.OptimiserRun,
            _fields(numeric.run_optimiser(symbolic.SGD(), np.sin, ONES, 3, gamma=0.1, beta=0.5)),
        ),
        "Ensemble": (
            numeric.Ensemble,
            _fields(numeric.momentum_sde(noisy_rows(), np.ones(6), time=1.0, steps=4, paths=3)),
        ),
        "NoisyGradient": (
            numeric.NoisyGradient,
            {"gradient": np.sin, "spread": np.multiply, "variables": 3, "sources": 3,
             "eps": 0.1, "lam": 0.5},
        ),
        "NoisyGradient.drift": (noisy_rows().drift, {"w": np.ones(6), "v": np.zeros(6)}),
        "NoisyGradient.kick": (
            noisy_rows().kick, {"w": np.ones(6), "v": np.zeros(6), "xi": [0.1, -0.2]},
        ),
        "minibatch_noise": (
            numeric.minibatch_noise, {"problem": data, "batch_size": 1, "eps": 0.1, "lam": 0.5},
        ),
        "momentum_sde": (
            numeric.momentum_sde,
            {"flow": noisy_rows(), "w": np.ones(6), "time": 1.0, "steps": 4, "paths": 3,
             "v": np.zeros(6), "records": 2, "seed": 0},
        ),
        "run_optimiser": (
            numeric.run_optimiser,
            {"optimiser": symbolic.SGD(), "gradient": np.sin, "w": ONES, "steps": 3,
             "gamma": 0.1, "memories": {"v": 0.0}, "beta": 0.5},
        ),
        "run_optimiser on a schedule": (
            numeric.run_optimiser,
            {"optimiser": symbolic.SGD(), "gradient": np.sin, "w": ONES, "steps": 3,
             "gamma": [0.1, 0.2, 0.3], "beta": 0.5},
        ),
        **_of_small_lambda(data, numeric.momentum_flow(data, 0.1, 0.5)),
        "flow_sensitivity": (
            numeric.flow_sensitivity, {"problem": data, "lam": 0.5, "init": 0.5, "t_end": 1.0}),
        "implicit_solution": (
            numeric.implicit_solution,
            {"problem": (X, Y), "balancedness": 0.1, "reference": 0.5, "solver": "newton",
             "log_balancedness": None, "shift": None, "potential": None, "start": found,
             "tolerance": 1e-9, "max_iterations": 100, "cvxpy_solver": None},
        ),
        "implicit_solution by log_balancedness": (
            numeric.implicit_solution, {"problem": data, "log_balancedness": -1.0, "shift": 0.5}),
        "implicit_solution by a potential": (
            numeric.implicit_solution, {"problem": data, "potential": potential}),
        "implicit_solution by CVXPY": (
            numeric.implicit_solution,
            {"problem": data, "balancedness": 0.1, "solver": "cvxpy", "cvxpy_solver": "CLARABEL"},
        ),
        "sensitivity": (implicit.sensitivity, {"problem": data, "solution": found}),
        "lazy_limit": (numeric.lazy_limit, {"entropy": potential}),
        "rich_limit": (numeric.rich_limit, {"entropy": potential}),
        "linear_program": (
            numeric.linear_program, {"cost": ONES, "A": X, "b": Y, "temperature": 0.5}),
        "load_regression": (
            numeric.load_regression, {"path": "table.csv", "target": "y", "standardise": False}),
        "momentum_descent": (
            numeric.momentum_descent,
            {"problem": (X, Y), "gamma": 0.1, "beta": 0.5, "init": 0.5, "method": "heavy_ball",
             "batch_size": None, "seed": 0, "max_steps": 20, "tol": 1e-6,
             "limit_accuracy": 1e-3, "check_every": 10,
             "record_every": None, "max_records": 100, "remainders": "regular", "engine": "numpy",
             "threads": 1, "progress": False, "measure_rounding": True},
        ),
        "momentum_descent by rows": (
            numeric.momentum_descent,
            {"problem": data, "gamma": 0.1, "beta": 0.5, "init": ([0.5] * 3, [0.1] * 3),
             "batch_size": 1, "max_steps": 20, "record_every": 10, "engine": "numpy"},
        ),
        "momentum_flow": (
            numeric.momentum_flow,
            {"problem": (X, Y), "lam": 0.5, "init": 0.5, "velocity": ([0.1] * 3, [0.1] * 3),
             "t_end": 1.0, "t_eval": [0.5, 1.0], "t_max": 10.0, "rtol": 1e-6, "tol": 1e-6,
             "max_steps": 100, "threads": 1, "progress": False},
        ),
        "momentum_flow to convergence": (
            numeric.momentum_flow,
            {"problem": data, "lam": 0.5, "init": 0.5, "t_max": 2.0, "rtol": 1e-6, "tol": 1e-6},
        ),
        "nearest_consistent_target": (numeric.nearest_consistent_target, {"X": X, "y": Y}),
        "plot_sweep": (numeric.plot_sweep, {"dataset": swept(), "measure": "loss", "x": "gamma"}),
        "potential_of_map": (
            numeric.potential_of_map,
            {"parameter": "u*v", "start": {"u": 0.5, "v": 0.25}, "domain": (-np.inf, np.inf),
             "dual_domain": (-np.inf, np.inf)},
        ),
        "regularisation_path": (
            numeric.regularisation_path,
            {"problem": data, "balancedness": [0.1, 0.01], "tolerance": 1e-9},
        ),
        "sharpness": (
            numeric.sharpness, {"problem": data, "theta": ONES, "balancedness": 0.1 * ONES}),
        "sparse_regression": (
            numeric.sparse_regression,
            {"n": 3, "d": 5, "sparsity": 2, "seed": 0, "signal": 1.0, "batch": ()},
        ),
        "statuses": (
            numeric.statuses,
            {"dataset": swept()},
        ),
        "sweep": (
            numeric.sweep,
            {"gamma": [0.1], "beta": [0.5], "lam": None, "alpha": 0.5, "n": 2, "d": 3,
             "sparsity": 1, "noise": 0.0, "batch_size": None, "seeds": 1, "method": "heavy_ball",
             "predict": False, "max_steps": 5, "tol": 1e-3, "root_seed": 0, "chunk": 4,
             "store": None, "jobs": 1, "client": None, "progress": False},
        ),
    }  # fmt: skip
    for name, make in POTENTIALS.items():
        one = make()
        z, theta = 0.1 * ONES, 0.25 * ONES
        arguments = {
            "shape": (2, 3), "index": ..., "scale": 2.0 * ONES, "z": z, "tail": 0.0,
            "theta": theta, "slope": ONES, "t": np.array([0.5]), "miss": 0.01 * ONES,
        }  # fmt: skip
        calls[name] = (type(one), _fields(one))
        for method, takes in methods(type(one)):
            if takes and all(p in arguments for p in takes):
                calls[f"{name}.{method}"] = (
                    getattr(one, method),
                    {p: arguments[p] for p in takes},
                )
    return calls


def _verify() -> dict[str, tuple[Any, dict[str, Any]]]:
    one, made = claim(), report()
    settings = verify.Settings()
    mutation = verify.Mutation("m", "wrong", lambda subject: subject)
    prediction = verify.predict(problem(), 0.1, 0.5, 0.5)
    repeated = verify.repeat(1, claims=[one])
    return {
        "Claim": (verify.Claim, _fields(one)),
        "ClaimResult": (verify.ClaimResult, _fields(made.results[0])),
        "ClaimResult.guards": (made.results[0].guards, {"measurement": measurement()}),
        "Evidence": (verify.Evidence, {"measurements": (measurement(),), "series": {"a": ONES}}),
        "Measurement": (verify.Measurement, _fields(measurement())),
        "Prediction.explained": (prediction.explained, {"spelled": str}),
        "select": (verify.select, {"names": ["small"], "available": (one,)}),
        "writable": (verify.writable, {"folder": "report"}),
        "write_gallery": (
            verify.write_gallery,
            {"folder": "figures", "only": ["rising-order"], "seeds": 1, "resolution": 2,
             "base_seed": 0},
        ),
        "Measurement.number": (measurement().number, {"value": 0.5}),
        "Mutation": (verify.Mutation, _fields(mutation)),
        "Prediction": (verify.Prediction, _fields(prediction)),
        "Repetitions": (verify.Repetitions, _fields(repeated)),
        "Report": (verify.Report, _fields(made)),
        "Report.of": (verify.Report.of, {"results": made.results, "settings": settings}),
        "Report.write": (made.write, {"folder": "report"}),
        "Settings": (verify.Settings, _fields(settings)),
        "Settings.rng": (lambda label: settings.rng(label), {"label": "a"}),
        "Settings.tolerance": (settings.tolerance, {"value": 1e-9}),
        "Subject": (verify.Subject, _fields(verify.shipped())),
        "Verdict.of": (verify.Verdict.of, {"parts": [verify.Verdict.SUPPORTED]}),
        "check": (
            verify.check,
            {"name": "balancedness-law", "settings": verify.Settings(2, quick=True),
             "subject": None},
        ),
        "data_claims": (
            verify.data_claims, {"problem": problem(), "gamma": 0.1, "beta": 0.5, "init": 0.5}),
        "predict": (
            verify.predict,
            {"problem": (X, Y), "gamma": 0.1, "beta": 0.5, "init": 0.5, "max_steps": 2000},
        ),
        "repeat": (
            verify.repeat,
            {"repetitions": 1, "only": ["small"], "claims": [one], "seeds": 2, "quick": True,
             "tolerance_scale": 1.0, "base_seed": 1, "controls": True, "state": None,
             "subject": None, "progress": None},
        ),
        "run": (
            verify.run,
            {"only": ["small"], "claims": [one], "seeds": 2, "quick": True,
             "tolerance_scale": 1.0, "base_seed": 0, "subject": None, "progress": None},
        ),
    }  # fmt: skip


@cache
def _of_theorems() -> dict[str, tuple[Any, dict[str, Any]]]:
    steps = {type(step).__name__: step for t in symbolic.theorems() for step in t.steps}
    kinds = ("Inequality", "Limit", "MatrixIdentity", "Minimum", "Sentence")
    return {
        "theorem": (symbolic.theorem, {"name": "one-row"}),
        "Theorem": (symbolic.Theorem, _fields(symbolic.theorem("one-row"))),
        **{kind: (getattr(symbolic, kind), _fields(steps[kind])) for kind in kinds},
    }


def _parameter_groups(name: str, **settings: Any) -> Any:
    """An optimiser as PyTorch shows it, without PyTorch."""
    return type(name, (), {"param_groups": [{"params": [], **settings}]})()


@cache
def _of_optimisers() -> dict[str, tuple[Any, dict[str, Any]]]:
    half = sp.Rational(1, 2)
    adam = symbolic.Adam(bias_correction=False, placement="inside")
    noisy = symbolic.stochastic_equation(symbolic.SGD(), 1)
    x = sp.Symbol("x")
    loss = {"loss": x**2 + x**4 / 5, "variables": ["x"]}
    numbers = {"gamma": 0.1, "beta_1": 0.5, "beta_2": 0.25, "eps": 0.5}
    system = symbolic.modified_equation(adam, 1, "inertial")
    rates = {"h": 0.1, "tau_1": 0.5, "tau_2": 0.25, "eps": 0.5}
    slow = symbolic.modified_equation(adam, 2, "slow")
    loss_map = symbolic.memoryless_map(adam, 2)
    read = symbolic.from_torch(
        _parameter_groups("SGD", lr=0.1, momentum=0.9, dampening=0, nesterov=False, weight_decay=0)
    )
    betas = {"beta_1": half, "beta_2": "3/4"}
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "Adam": (
            symbolic.Adam,
            {**betas, "eps": half, "placement": "inside", "bias_correction": False,
             "decay": 0, "coupled": False, "eps_root": 0},
        ),
        "AdamW": (symbolic.AdamW, {**betas, "eps": half, "decay": "1/10"}),
        "RMSProp": (
            symbolic.RMSProp,
            {"beta_2": half, "eps": half, "momentum": half, "centred": True,
             "placement": "inside", "decay": 0, "nesterov": True},
        ),
        "NAdam": (
            symbolic.NAdam,
            {**betas, "eps": half, "bias_correction": True, "warming": half, "decay": 0,
             "coupled": True},
        ),
        "AdaBelief": (
            symbolic.AdaBelief,
            {**betas, "eps": half, "bias_correction": True, "eps_root": None, "decay": 0},
        ),
        "Signum": (symbolic.Signum, {"beta_1": half, "delta": half, "decay": 0}),
        "Lion": (symbolic.Lion, {**betas, "delta": half, "decay": 0}),
        "SGD": (
            symbolic.SGD, {"momentum": half, "dampening": half, "decay": 0, "nesterov": True}),
        "Optimiser": (symbolic.Optimiser, _fields(symbolic.SGD(dampening=half))),
        "Optimiser.parse": (
            symbolic.Optimiser.parse,
            {"text": "m = r*m + g; w = w - lr*m", "parameters": ["r"], "name": "own"},
        ),
        "Optimiser.with_values": (adam.with_values, {"values": {"beta_1": half}}),
        "from_torch": (
            symbolic.from_torch,
            {"optimizer": _parameter_groups("Adam", lr=0.1, betas=(0.9, 0.99), eps=1e-8,
                                            weight_decay=0), "group": 0},
        ),
        "from_optax": (
            symbolic.from_optax, {"name": "adam", "hyperparameters": {"learning_rate": 0.1}}),
        "ReadOptimiser": (symbolic.ReadOptimiser, _fields(read)),
        "update_source": (symbolic.update_source, {"optimiser": adam, "library": "torch"}),
        "ReadOptimiser.settings": (read.settings, {"values": {gamma: 0.5}}),
        "transfer": (
            symbolic.transfer,
            {"optimizer": "adamw", "hyperparameters": {"lr": 0.1}, "group": 0, "batch_size": 8,
             "to_batch_size": 16, "to_momentum": None, "steps": 10, "to_steps": None,
             "noise": True},
        ),
        "Transfer": (
            symbolic.Transfer,
            _fields(symbolic.transfer("sgd", {"lr": 0.1}, batch_size=8, to_batch_size=16)),
        ),
        "OptimiserDiffusion": (symbolic.OptimiserDiffusion, _fields(noisy)),
        "OptimiserDiffusion.on_arrays": (
            noisy.on_arrays,
            {"loss": "x**2", "covariance": "1/4", "variables": ["x"], "gamma": 0.1, "beta": 0.5},
        ),
        "OptimiserDiffusion.written_out": (
            noisy.written_out, {"loss": "x**2", "covariance": "1/4", "variables": ["x"]},
        ),
        "scaling_rules": (symbolic.scaling_rules, {"optimiser": adam, "noise": True}),
        "ScalingRule": (symbolic.ScalingRule, _fields(symbolic.scaling_rules(adam)[0])),
        "intrinsic_parameters": (symbolic.intrinsic_parameters, {"method": adam}),
        "PreconditionedLoss": (
            symbolic.PreconditionedLoss, _fields(symbolic.modified_loss(symbolic.Adam(eps=0)))),
        "ElementwiseEquation": (symbolic.ElementwiseEquation, _fields(slow)),
        "ElementwiseEquation.rhs": (slow.rhs, {**loss, **numbers}),
        "ElementwiseMap": (symbolic.ElementwiseMap, _fields(loss_map)),
        "ElementwiseMap.iteration": (loss_map.iteration, {**loss, **numbers}),
        "ElementwiseSeries.coefficient": (lambda first: slow.coefficient(first), {"first": 1}),
        "ElementwiseSeries.specialise": (slow.specialise, loss),
        "ElementwiseSeries.to_module": (slow.to_module, {"path": "module.py"}),
        "ElementwiseField.__call__": (
            lambda state, t: slow.rhs(**loss, **numbers)(state, t=t),
            {"state": [[0.5]], "t": 0.0},
        ),
        "ElementwiseIteration.run": (
            loss_map.iteration(**loss, **numbers).run, {"w": [[0.5]], "steps": 3}),
        "InertialSystem": (symbolic.InertialSystem, _fields(system)),
        "InertialSystem.rhs": (system.rhs, {**loss, **rates}),
        "InertialSystem.start": (system.start, {"w": ONES, "memories": {"m": 0.1, "v": ONES}}),
        "InertialSystem.specialise": (system.specialise, loss),
        "InertialSystem.to_module": (system.to_module, {"path": "module.py"}),
        "InertialSystem.unknowns": (system.unknowns, {"variables": [x]}),
        "known_optimiser": (symbolic.known_optimiser, {"name": "adam"}),
        "written_out of an optimiser": (symbolic.written_out, {"series": slow, "loss": "x**2"}),
        "InertialSystem.correction": (system.correction, {"n": 1}),
    }  # fmt: skip
    return calls


def _of_small_lambda(data: Any, flow: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    bound = numeric.sign_change_bound(data)
    derivative = numeric.limit_derivative(data, 0.5)
    penalty = numeric.momentum_penalty(flow)
    certain = numeric.convergence_bound(data, 0.01)
    rich = numeric.rich_path(data, 0.01)
    return {
        "sign_change_bound": (numeric.sign_change_bound, {"problem": data, "run": None}),
        "SignChangeBound": (numeric.SignChangeBound, _fields(bound)),
        "SignChangeBound.largest_step": (bound.largest_step, {"beta": 0.5}),
        "convergence_bound": (
            numeric.convergence_bound, {"problem": data, "lam": 0.01, "init": 0.1}),
        "ConvergenceBound": (numeric.ConvergenceBound, _fields(certain)),
        "limit_derivative": (
            numeric.limit_derivative,
            {"problem": data, "init": 0.5, "tol": 1e-12, "t_max": 1e5},
        ),
        "LimitDerivative": (numeric.LimitDerivative, _fields(derivative)),
        "LimitDerivative.predicted": (derivative.predicted, {"lam": 0.1}),
        "rich_path": (numeric.rich_path, {"problem": data, "lam": 0.01}),
        "RichPath": (numeric.RichPath, _fields(rich)),
        "momentum_penalty": (numeric.momentum_penalty, {"run": flow}),
        "MomentumPenalty": (numeric.MomentumPenalty, _fields(penalty)),
        "MomentumPenalty.of": (penalty.of, {"run": flow}),
    }  # fmt: skip


def calls() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return every right call: what is called, and its arguments by name."""
    front = {"cite": (lambda result: mf.cite(result), {"result": run()})}
    return front | _symbolic() | _numeric() | _verify()


def methods(cls: type) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return the public methods of a class with the names of what they take."""
    for base in reversed(cls.__mro__[:-1]):
        if not base.__module__.startswith("momentumflow."):
            continue
        for name, raw in vars(base).items():
            if (name.startswith("_") and name != "__call__") or isinstance(raw, type):
                continue
            function = getattr(raw, "__func__", raw)
            if isinstance(function, types.FunctionType):
                own = not isinstance(raw, staticmethod)
                yield name, tuple(inspect.signature(function).parameters)[own:]


def public() -> Iterator[str]:
    """Return the name of every public callable that takes something."""
    for room in (symbolic, numeric, verify):
        for name in room.__all__:
            found = getattr(room, name)
            if not callable(found):
                continue
            if not isinstance(found, type):
                if inspect.signature(found).parameters:
                    yield name
                continue
            abstract = inspect.isabstract(found) or issubclass(found, Exception | enum.Enum)
            if not abstract and found is not symbolic.Tree and inspect.signature(found).parameters:
                yield name
            if not inspect.isabstract(found):
                own = (m for m, takes in methods(found) if takes and m in vars(found))
                yield from (f"{name}.{method}" for method in own)

"""Every public object prints in a line, displays, compares, hashes, copies and pickles."""

from __future__ import annotations

import copy
import enum
import inspect
import pickle
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

import momentumflow as mf
from momentumflow import numeric, symbolic, verify
from momentumflow.base.values import FrozenMapping, brief, same

# Not results: what they are instead.
EXEMPT = {
    "ImplicitModel": "a CVXPY model that a user extends: it has an identity, not a value",
    "Repetitions": "records of repeated verification: tests/verify/test_repetition.py",
    "Potential": "the abstract base of the potentials",
    "Subject": "a bundle of functions, which have an identity: only its text is held, below",
    "Tree": "one object a tree: tests/symbolic/test_trees.py",
}


@cache
def problem():
    return numeric.sparse_regression(3, 6, 2, seed=0)


@cache
def run():
    return numeric.momentum_descent(problem(), 0.05, 0.8, 0.5, max_steps=400, record_every=100)


@cache
def flow():
    return numeric.momentum_flow(problem(), 2.0, 0.5)


@cache
def solution():
    return numeric.implicit_solution(problem(), 0.5)


@cache
def equation():
    return symbolic.modified_equation(symbolic.HeavyBall(), 2)


@cache
def diffusing():
    return symbolic.stochastic_equation(symbolic.HeavyBall(), 2)


@cache
def report():
    return verify.run(["discretisation"], quick=True, seeds=2)


@cache
def certificate():
    found, size = solution(), problem().d
    return numeric.certify(
        problem().X[None], problem().y[None], found.potential.broadcast_to((1, size)),
        found.theta[None], found.dual[None],
    )  # fmt: skip


def constrained():
    model = numeric.ImplicitModel(problem(), 0.5)
    return model.solve([model.theta <= 10])


def step_of(kind):
    """The first step of that kind in any theorem."""
    every = (step for found in symbolic.theorems() for step in found.steps)
    return next(step for step in every if type(step) is kind)


LAW = "balancedness in w_pm"
EXAMPLES = {
    "ConvergenceBound": lambda: numeric.convergence_bound(problem(), 0.01),
    "Inequality": lambda: step_of(symbolic.Inequality),
    "Limit": lambda: step_of(symbolic.Limit),
    "LimitDerivative": lambda: numeric.limit_derivative(problem(), 0.5),
    "MatrixIdentity": lambda: step_of(symbolic.MatrixIdentity),
    "Minimum": lambda: step_of(symbolic.Minimum),
    "MomentumPenalty": lambda: numeric.momentum_penalty(flow()),
    "RichPath": lambda: numeric.rich_path(problem(), 0.0),
    "Sentence": lambda: step_of(symbolic.Sentence),
    "SignChangeBound": lambda: numeric.sign_change_bound(problem()),
    "Theorem": lambda: symbolic.theorem("less-penalty"),
    "AccelerationRule": lambda: symbolic.acceleration_rule(symbolic.HeavyBall()),
    "Commutation": lambda: symbolic.commutation(["u*v", "u"], sp.symbols("u v", real=True)),
    "DiagonalNetwork": symbolic.DiagonalNetwork,
    "Energy": lambda: symbolic.energy(symbolic.HeavyBall()),
    "FirstOrderForm": lambda: equation().first_order_form(),
    "GradientDescent": symbolic.GradientDescent,
    "HeavyBall": symbolic.HeavyBall,
    "Identity": lambda: symbolic.DiagonalNetwork().identity(LAW),
    "Kernel": lambda: symbolic.kernel("beta*gamma", ["beta", "gamma"]),
    "MirrorFlow": lambda: symbolic.mirror_flow("u*v"),
    "MemorylessMap": lambda: symbolic.memoryless_map(symbolic.HeavyBall(), 2),
    "ModifiedEquation": equation,
    "ModifiedLoss": lambda: symbolic.modified_loss(symbolic.HeavyBall(), 3),
    "MomentumMethod": lambda: symbolic.MomentumMethod.parse("w[k+1] = w[k] + gamma*f(w[k])"),
    "Nesterov": symbolic.Nesterov,
    "Obstruction": lambda: symbolic.modified_loss(symbolic.HeavyBall(), 3).obstruction,
    "PrincipalFlow": lambda: symbolic.principal_flow(symbolic.HeavyBall()),
    "Proof": lambda: symbolic.DiagonalNetwork().identity(LAW).prove(),
    "QuasiHyperbolic": symbolic.QuasiHyperbolic,
    "Recurrence": lambda: symbolic.HeavyBall().recurrence,
    "PolarFlow": lambda: symbolic.PolarFlow(symbolic.DiagonalNetwork().balanced),
    "RemainderLaw": lambda: symbolic.RemainderLaw.of_map(symbolic.HeavyBall(), "u*v"),
    "Straightening": lambda: symbolic.straightened("sinh(u)"),
    "ElementwiseEquation": lambda: symbolic.modified_equation(symbolic.SGD(), 1, "slow"),
    "ElementwiseMap": lambda: symbolic.memoryless_map(symbolic.SGD(), 1),
    "InertialSystem": lambda: symbolic.modified_equation(symbolic.SGD(), 1, "inertial"),
    "Optimiser": symbolic.Adam,
    "OptimiserDiffusion": lambda: symbolic.stochastic_equation(symbolic.SGD(), 1),
    "PreconditionedLoss": lambda: symbolic.modified_loss(symbolic.Adam(eps=0), 1),
    "ReadOptimiser": lambda: symbolic.from_optax("sgd", {"learning_rate": 0.1, "momentum": 0.9}),
    "ContractionSeries": lambda: diffusing().drift["v"],
    "StochasticEquation": diffusing,
    "EpochLoss": lambda: symbolic.epoch_loss(symbolic.HeavyBall(), 4),
    "QuadraticMoments": lambda: symbolic.quadratic_moments(symbolic.HeavyBall()),
    "LinearProcess": lambda: symbolic.quadratic_moments(symbolic.HeavyBall()).on_arrays(
        np.eye(2), np.eye(2), gamma=0.1, beta=0.5
    ),
    "Transfer": lambda: symbolic.transfer("sgd", {"lr": 0.1}, batch_size=8, to_batch_size=16),
    "ScalingRule": lambda: symbolic.scaling_rules(symbolic.SGD())[0],
    "NoisyGradient": lambda: numeric.minibatch_noise(problem(), 1, eps=0.1, lam=0.5),
    "Ensemble": lambda: numeric.momentum_sde(
        numeric.minibatch_noise(problem(), 1, eps=0.1, lam=0.5),
        np.ones(2 * problem().d),
        time=1.0,
        steps=4,
        paths=3,
    ),
    "OptimiserRun": lambda: numeric.run_optimiser(
        symbolic.SGD(), lambda w: w, np.ones(2), 3, gamma=0.1, beta=0.5
    ),
    "SeparableNetwork": lambda: symbolic.DiagonalNetwork().balanced,
    "Term": lambda: equation().terms[0],
    "TreeSeries": lambda: equation().first_order_form().equations[1],
    "Certificate": certificate,
    "ConstrainedSolution": constrained,
    "DepthEntropy": lambda: numeric.DepthEntropy(3, np.zeros(6), np.ones(6), np.zeros(6)),
    "DerivedPotential": lambda: numeric.potential_of_map("u*v", {"u": 1.0, "v": 0.5}),
    "Enclosure": lambda: numeric.enclose(problem(), solution()),
    "FlowSensitivity": lambda: numeric.flow_sensitivity(problem(), 0.2, 0.5, 1.0),
    "HyperbolicEntropy": lambda: solution().potential,
    "ImplicitSolution": solution,
    "KullbackLeibler": lambda: numeric.KullbackLeibler(np.zeros(6)),
    "NetworkPotential": lambda: numeric.potential_of_map("u**3 - v**3", {"u": 1.0, "v": 0.5}),
    "Path": lambda: run().path,
    "PredictedLimit": lambda: run().predicted_limit(),
    "Regression": problem,
    "RegularisationPath": lambda: numeric.regularisation_path(problem(), np.geomspace(0.01, 1, 3)),
    "Schedule": lambda: numeric.Schedule(np.linspace(0.1, 0.2, 5)),
    "SignChanges": lambda: flow().sign_change_times,
    "Trajectory": run,
    "WeightedL1": lambda: numeric.WeightedL1(np.ones(6)),
    "WeightedL2": lambda: numeric.WeightedL2(np.ones(6)),
    "Claim": lambda: verify.claims()[0],
    "ClaimResult": lambda: report().results[0],
    "Evidence": lambda: report().results[0].evidence,
    "Measurement": lambda: report().results[0].evidence.measurements[0],
    "Mutation": lambda: verify.claims()[0].controls[0],
    "Prediction": lambda: verify.predict(problem(), 0.05, 0.8, 0.5),
    "Report": report,
    "Settings": verify.Settings,
    "Citation": mf.cite,
    "Diagnosis": lambda: mf.Diagnosis((mf.diagnosis.Check("numpy", True, "2.4"),)),
}
# Results of public methods whose classes have no public name.
FURTHER = {
    "ControlResult": lambda: report().results[0].controls[0],
    "EnergyPart": lambda: symbolic.energy(symbolic.HeavyBall()).dissipation,
    "Iteration": lambda: symbolic.memoryless_map(symbolic.HeavyBall(), 2).iteration(
        "1 - cos(x)", gamma=0.1, beta=0.5
    ),
    "Diffusion": lambda: diffusing().on_arrays("1 - cos(x)", 1, eps=0.1, lam=0.5),
    "RightHandSide": lambda: equation().rhs("1 - cos(x)", eps=0.1, lam=0.5),
}
# Plain records, whose dataclass repr is the best display.
PLAIN = {"Measurement", "Settings", "Term", "Obstruction", "Mutation"}
# They hold the functions that judge or plant, which may be lambdas: a report is kept as JSON.
UNPICKLED = {"Claim", "ClaimResult", "ControlResult", "Mutation", "Report"}


def public_classes():
    found = set()
    for room in (mf, symbolic, numeric, verify):
        for name in room.__all__:
            value = getattr(room, name)
            if inspect.isclass(value) and not issubclass(value, enum.Enum | Exception):
                found.add(name)
    return found


def test_every_public_class_has_an_example():
    assert public_classes() - set(EXEMPT) == set(EXAMPLES)


@pytest.fixture(params=[*EXAMPLES, *FURTHER])
def named(request):
    name = request.param
    return name, (EXAMPLES | FURTHER)[name]()


def test_an_object_behaves(named):
    name, value = named
    assert type(value).__name__ == name
    line = repr(value)
    assert len(line) <= 300
    assert "\n" not in line
    assert name in line
    assert "array(" not in line
    shown = [
        getattr(value, view)() for view in ("_repr_html_", "_repr_latex_") if hasattr(value, view)
    ]
    assert shown or name in PLAIN
    assert all(isinstance(text, str) and text for text in shown)
    # compares and hashes
    assert (value == value) is True
    assert (value == "something else") is False
    assert isinstance(hash(value), int)
    # copies and pickles
    for twin in (
        copy.copy(value),
        copy.deepcopy(value),
        *(
            pickle.loads(pickle.dumps(value, p))
            for p in (2, pickle.HIGHEST_PROTOCOL)
            if name not in UNPICKLED
        ),
    ):
        assert type(twin) is type(value)
        assert (twin == value) is True
        assert hash(twin) == hash(value)
        assert repr(twin) == line


def test_results_that_differ_in_one_entry_differ():
    first = solution()
    theta = first.theta.copy()
    theta[-1] = np.nextafter(theta[-1], np.inf)
    assert replace(first, theta=theta) != first
    assert replace(first, theta=first.theta.copy()) == first
    other = numeric.sparse_regression(3, 6, 2, seed=1)
    assert problem() != other
    assert replace(run(), problem=other) != run()
    assert replace(report(), results=()) != report()


def test_equations_differ_by_method_order_and_coefficient():
    heavy, nesterov = symbolic.HeavyBall(), symbolic.Nesterov()
    first = symbolic.modified_equation(heavy, 1)
    assert first == symbolic.modified_equation(heavy, 1)
    assert first != equation()
    assert first != symbolic.modified_equation(nesterov, 1)
    assert symbolic.modified_equation(heavy, 2, "slow") != equation()
    series = symbolic.memoryless_map(heavy, 2)
    assert series != series.subs({"beta": "1/2"})
    # the pickled equation can be worked with
    twin = pickle.loads(pickle.dumps(first))
    assert twin.first_order_form() == first.first_order_form()
    assert twin.rhs("x^2/2", eps=0.1, lam=0.5)([1.0], [0.5]) == first.rhs(
        "x^2/2", eps=0.1, lam=0.5
    )([1.0], [0.5])


@pytest.mark.parametrize(
    "text",
    [
        "HeavyBall()",
        "HeavyBall(beta='1/2')",
        "HeavyBall(beta=0)",
        "Nesterov(beta='9/10')",
        "GradientDescent()",
        "QuasiHyperbolic()",
        "QuasiHyperbolic(nu='7/10')",
        "QuasiHyperbolic(beta='1/3', nu=1)",
    ],
)
def test_known_methods_print_as_they_are_made(text):
    assert repr(
        eval(text, vars(symbolic) | {n: getattr(symbolic, n) for n in symbolic.__all__})
    ) == (text)


def test_a_method_with_another_step_says_so():
    eta = sp.Symbol("eta", positive=True)
    assert repr(symbolic.GradientDescent(gamma=eta)) == "GradientDescent(gamma=eta)"


def test_a_problem_stays_read_only_through_pickle_and_copy():
    for twin in (pickle.loads(pickle.dumps(problem())), copy.deepcopy(problem())):
        with pytest.raises(ValueError, match="read-only"):
            twin.X[0, 0] = 1.0


def test_a_changed_subject_says_what_is_changed():
    wrong = replace(verify.shipped(), intrinsic=lambda gamma, beta: gamma)
    assert repr(wrong) == "<Subject: the library with another intrinsic>"
    assert repr(verify.shipped()) == "<Subject: the library as it is>"
    assert wrong != verify.shipped()


arrays = hnp.arrays(
    st.sampled_from([np.float64, np.int64, np.bool_]), hnp.array_shapes(max_dims=3, max_side=3)
)
values = st.recursive(
    st.one_of(arrays, st.floats(), st.integers(), st.text(max_size=3), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(values)
def test_sameness_is_reflexive_through_copies(value):
    assert same(value, copy.deepcopy(value))
    assert isinstance(brief(value), str)


@given(values, values)
def test_sameness_is_symmetric(a, b):
    assert same(a, b) == same(b, a)


def test_sameness_sees_shape_entries_keys_and_nan():
    assert same(np.array([1.0, np.nan]), np.array([1.0, np.nan]))
    assert not same(np.ones(2), np.ones((1, 2)))
    assert not same(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    assert not same({"a": np.ones(2)}, {"b": np.ones(2)})
    assert not same((1, 2), [1, 2])
    assert not same(float("nan"), 1.0)
    assert same(
        np.array([None, np.ones(2)], dtype=object), np.array([None, np.ones(2)], dtype=object)
    )


def test_a_frozen_mapping_is_a_mapping():
    mapping = FrozenMapping({"a": 1, "b": 2})
    assert isinstance(mapping, Mapping)
    assert mapping == {"a": 1, "b": 2}
    assert len(mapping) == 2
    assert hash(mapping) == hash(FrozenMapping({"b": 2, "a": 1}))
    assert repr(mapping) == "{'a': 1, 'b': 2}"
    with pytest.raises(TypeError):
        mapping["a"] = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.arange(3.0), "(3,) in [0, 2]"),
        (np.empty((2, 0)), "(2, 0)"),
        (np.array("a"), "np.str_('a')"),
        (np.float64(1 / 3), "0.3333"),
        ({"a": 1, "b": 2}, "{a, b}"),
        ("x" * 100, "'" + "x" * 56 + "..."),
        (tuple(range(100)), "(100 items)"),
        (verify.Verdict.SUPPORTED, "SUPPORTED"),
    ],
)
def test_brief_texts(value, text):
    assert brief(value) == text

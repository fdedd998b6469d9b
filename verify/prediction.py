"""Train the network, solve the convex problem, hold the two limits together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from momentumflow.base import libraries
from momentumflow.base.arguments import MomentumFloat, PositiveFloat, checked
from momentumflow.base.errors import InputError
from momentumflow.base.numbers import plain
from momentumflow.base.values import Value, brief
from momentumflow.numeric import momentum_descent
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.implicit import ImplicitSolution
from momentumflow.numeric.runs.initialisation import Init
from momentumflow.numeric.runs.kernel_modules import MethodLike
from momentumflow.numeric.runs.settling import Settling
from momentumflow.numeric.runs.trajectory import RunStatus, Trajectory
from momentumflow.verify.evidence import Verdict
from momentumflow.verify.limit_evidence import LIMIT_TOLERANCE, SOLVER_TOLERANCE, relative_distance

if TYPE_CHECKING:
    import pandas as pd


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Value):
    """A training run and the convex problem whose solution it should end at.

    Attributes
    ----------
    problem : Regression
        The data.
    run : Trajectory
        The training run.
    newton, cvxpy : ImplicitSolution or None
        The solution by dual Newton and by CVXPY; None if the run has not
        converged, because then there is no limit to predict.
    advice : str
        What would lead to a limit where there is none; arguments of `predict` stand
        in braces, such as {gamma}.
    """

    problem: Regression
    run: Trajectory
    newton: ImplicitSolution | None
    cvxpy: ImplicitSolution | None
    advice: str = ""

    @property
    def distance(self) -> float:
        """|theta_run - theta_newton| / |theta_newton|; NaN without a certified prediction."""
        if self.newton is None:
            return float("nan")
        return float(relative_distance(self.run.theta, self.newton.theta))

    @property
    def solver_distance(self) -> float:
        """|theta_cvxpy - theta_newton| / |theta_newton|; NaN if one is not certified."""
        if self.newton is None or self.cvxpy is None:
            return float("nan")
        return float(relative_distance(self.cvxpy.theta, self.newton.theta))

    @property
    def verdict(self) -> Verdict:
        """Supported if both distances are within the tolerances of the theorem."""
        if self.newton is None or not self.newton.certified:
            return Verdict.UNDECIDED
        if not self.distance <= LIMIT_TOLERANCE:
            return Verdict.REFUTED
        if self.cvxpy is None or not self.cvxpy.certified:
            return Verdict.UNDECIDED
        return Verdict.SUPPORTED if self.solver_distance <= SOLVER_TOLERANCE else Verdict.REFUTED

    @property
    def confirmed_distance(self) -> float:
        """|theta_run - theta_cvxpy| / |theta_cvxpy|; NaN without a certified solution."""
        if self.cvxpy is None:
            return float("nan")
        return float(relative_distance(self.run.theta, self.cvxpy.theta))

    @property
    def explanation(self) -> str:
        """One sentence on what the verdict rests on, or on what would lead to one."""
        return self.explained(str)

    def explained(self, spelled: Callable[[str], str]) -> str:
        """Return `explanation` with the arguments spelled as the reader's interface does.

        Parameters
        ----------
        spelled : callable
            From the name of an argument of `predict` to what the reader calls it.
        """
        words = {name: spelled(name) for name in ("gamma", "beta", "init", "max_steps", "tol")}
        if self.newton is None:
            return f"there is no limit to predict: {self.advice.format_map(words)}"
        if not self.newton.certified:
            return f"no certified prediction: {self.newton.status.value}"
        found = (
            f"relative distance {self.distance:.2e} between the run's limit and the prediction, "
            f"required <= {LIMIT_TOLERANCE:g}"
        )
        if self.cvxpy is None or not self.cvxpy.certified:
            status = "" if self.cvxpy is None else f" ({self.cvxpy.status.value})"
            found += f"; CVXPY gave no certified solution to confirm it{status}"
        else:
            found += (
                f"; CVXPY and Newton {self.solver_distance:.2e} apart, "
                f"required <= {SOLVER_TOLERANCE:g}"
            )
        if self.run.doubt:
            remedy = self.run.advice(self.run.status).format_map(words)
            found += f"; the run converged, {self.run.doubt}: {remedy}"
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as plain data; NaN becomes None."""
        run = self.run
        found = {
            "verdict": self.verdict.value,
            "explanation": self.explanation,
            "distance": self.distance,
            "solver_distance": self.solver_distance,
            "problem": {
                "name": self.problem.name,
                "n": self.problem.n,
                "d": self.problem.d,
                "rank": self.problem.rank,
                "condition_number": self.problem.condition_number,
            },
            "run": {
                "converged": bool(run.converged),
                "status": run.status.name,
                "residual": run.residual,
                "loss": run.loss,
                "gamma": run.settings["gamma"],
                "beta": run.settings["beta"],
                "steps": int(run.steps),
                "sign_changes": int(np.sum(run.sign_changes)),
                "rounding": run.rounding,
                "doubt": run.doubt,
                "theta": run.theta,
                "initial_balancedness": run.initial_balancedness,
                "asymptotic_balancedness": run.predicted_balancedness,
                "perturbed_init": run.perturbed_init,
            },
            "feature_names": list(self.names),
            "solutions": {
                name: _solution_dict(solution)
                for name, solution in (("newton", self.newton), ("cvxpy", self.cvxpy))
                if solution is not None
            },
        }
        return dict(plain(found))

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each feature: trained, and predicted by each solver (NaN if none)."""
        pd = libraries.pandas()
        predicted = {
            f"predicted by {name}": np.nan if solution is None else solution.theta
            for name, solution in (("Newton", self.newton), ("CVXPY", self.cvxpy))
        }
        index = pd.Index(self.names, name="feature")
        return pd.DataFrame({"trained": self.run.theta} | predicted, index=index)

    def _shown(self) -> dict[str, str]:
        shown = {"problem": self.problem.name, "verdict": self.verdict.value}
        if self.newton is not None:
            shown |= {"distance": brief(self.distance)}
            shown |= {"solver_distance": brief(self.solver_distance)}
        return shown | {"steps": brief(self.run.steps)}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, made up where the data has none."""
        return self.problem.feature_names or tuple(f"x{j}" for j in range(self.problem.d))


@checked
def predict(
    problem: Regression,
    gamma: PositiveFloat | Literal["auto"],
    beta: MomentumFloat,
    init: Init,
    *,
    method: MethodLike = "heavy_ball",
    tol: PositiveFloat | None = None,
    **options: Any,
) -> Prediction:
    """Run momentum descent on `problem` and solve the convex problem it should end at.

    Parameters
    ----------
    problem : Regression
        One problem, not a batch.
    gamma, beta : float
        Step size > 0 and momentum in [0, 1). "auto" takes half of the largest step
        that is stable at the limit of gradient flow, or less where inertia would
        carry the run too far.
    init : array_like
        Initialisation as `momentum_descent` takes it: a scale alpha, for example.
    method : str or MomentumMethod
        As in `momentum_descent`.
    tol : float, optional
        As in `momentum_descent`; as small as the verdict needs it if not given.
    **options
        Further options of `momentum_descent`: batch_size, seed, max_steps, ...

    Returns
    -------
    Prediction

    Raises
    ------
    InputError
        A batch of problems, or what `momentum_descent` refuses.
    """
    if problem.batch_shape:
        raise InputError("one problem", f"a batch of shape {problem.batch_shape}")
    if isinstance(gamma, str):
        gamma = Settling.of(problem, init, method).prudent_step(beta)
    if tol is None:
        # theta is off by at most the residual times the condition number
        tol = float(np.clip(LIMIT_TOLERANCE / (10 * problem.condition_number), 1e-13, 1e-10))
    run = momentum_descent(
        problem, gamma, beta, init, method=method, remainders="summed", tol=tol, **options
    )
    if run.theta.ndim != 1:
        raise InputError("one run", f"a batch of shape {run.theta.shape[:-1]}")
    if not run.converged:
        return Prediction(problem, run, None, None, _advice(run))
    return Prediction(problem, run, run.predicted_limit("newton"), run.predicted_limit("cvxpy"))


def _advice(run: Trajectory) -> str:
    """Say what would lead to a limit; arguments stand in braces."""
    advice = run.advice(run.status)
    if run.status is RunStatus.DIVERGED:
        return f"the run diverged: {advice}"
    if run.status is RunStatus.NOT_CONVERGED:
        return f"not converged after {int(run.steps):,} steps: {advice}"
    return f"{run.status.value}{f'; {advice}' if advice else ''}"


def _solution_dict(solution: ImplicitSolution) -> dict[str, Any]:
    return {
        "certified": bool(solution.certified),
        "status": solution.status.name,
        "theta": solution.theta,
        "feasibility": solution.feasibility,
        "stationarity": solution.stationarity,
        "gap": solution.gap,
        "error": solution.error,
    }

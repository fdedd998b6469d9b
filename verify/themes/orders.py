"""Modified equations of rising order, held against the iterates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import solve_ivp

from momentumflow.base.arrays import FloatArray
from momentumflow.base.figures import convergence, panels, slope_guide
from momentumflow.symbolic import HeavyBall, modified_equation
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.measure import order
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure


LAMBDA = 0.5
T = 2.0
STEPS = (0.16, 0.08, 0.04, 0.02)
ORDERS = (0, 1, 2, 3)


def loss_gradient(w: Any) -> Any:
    """Gradient of F(x, y) = 1 - cos x + x y / 5 + y^2 / 2 + y^4 / 8, a coupled pendulum."""
    x, y = w[..., 0], w[..., 1]
    return [np.sin(x) + y / 5, x / 5 + y + y * y * y / 2]


def iterates(starts: FloatArray, eps: float) -> FloatArray:
    """Return heavy ball's iterates on the coupled pendulum up to t = T.

    Parameters
    ----------
    starts : ndarray, shape (runs, 2)
    eps : float
        Time step.

    Returns
    -------
    ndarray, shape (steps + 1, runs, 2)
    """
    gamma, beta = eps * eps / LAMBDA, 1 - eps / LAMBDA
    before, now = starts, starts
    path = [now]
    for _ in range(round(T / eps)):
        gradient = np.stack(loss_gradient(now), axis=-1)
        before, now = now, now - gamma * gradient + beta * (now - before)
        path.append(now)
    return np.array(path)


def modified_flow(
    subject: Subject, starts: FloatArray, eps: float, truncation: int, rtol: float = 1e-12
) -> FloatArray:
    """Return the flow of the modified equation at the times of the iterates; same shape."""
    rhs = subject.modified(truncation, loss_gradient, eps, LAMBDA)
    speed = rhs.initial_velocity(starts) if truncation else np.zeros_like(starts)

    def field(_: float, flat: FloatArray) -> FloatArray:
        w, v = flat.reshape(2, *starts.shape)
        return np.concatenate([v.ravel(), rhs(w, v).ravel()])

    time = eps * np.arange(round(T / eps) + 1)
    found = solve_ivp(
        field,
        (0.0, float(time[-1])),
        np.concatenate([starts.ravel(), speed.ravel()]),
        method="DOP853",
        t_eval=time,
        rtol=rtol,
        atol=rtol / 100,
    )
    path: FloatArray = found.y[: starts.size].T.reshape(-1, *starts.shape)
    return path


def _check(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("modified-equations")
    starts = rng.uniform(0.5, 1.5, (settings.seeds, 2))
    # The highest order needs the smallest errors, and those the most time; controls
    # have to reject it as well, at steps where its errors are still large.
    truncations = ORDERS[:3] if settings.quick and not settings.control else ORDERS
    steps = STEPS[:3] if settings.quick else STEPS
    rtol = 1e-8 if settings.control else 1e-10 if settings.quick else 1e-12
    errors = np.empty((len(truncations), settings.seeds, len(steps)))
    for k, eps in enumerate(steps):
        exact = iterates(starts, eps)
        for j, truncation in enumerate(truncations):
            flow = modified_flow(subject, starts, eps, truncation, rtol)
            errors[j, :, k] = np.abs(flow - exact).max(axis=(0, 2))
    return Evidence(
        tuple(
            order(
                f"order in eps of the equation with terms up to eps^{truncation}",
                steps,
                errors[j],
                truncation + 1,
                settings,
                tolerance=0.25,
            )
            for j, truncation in enumerate(truncations)
        ),
        {"steps": np.array(steps), "errors": errors},
    )


def _draw(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.4, height=3.8)
    for j, errors in enumerate(s["errors"]):
        convergence(axes, s["steps"], errors, label=rf"through $\varepsilon^{j}$", which=j)
        slope_guide(axes, s["steps"], 1.6 * float(np.median(errors[:, 0])), j + 1)
    axes.set_xlabel(r"time step $\varepsilon$")
    axes.set_ylabel("distance of iterates and flow")
    axes.legend(loc="lower right")
    return figure


def _lower_order(subject: Subject) -> Subject:
    def modified(truncation: int, *arguments: Any) -> Any:
        return subject.modified(max(truncation - 1, 0), *arguments)

    return replace(subject, modified=modified)


def _wrong_time_step(subject: Subject) -> Subject:
    def modified(truncation: int, gradient: Any, eps: float, lam: float) -> Any:
        return subject.modified(truncation, gradient, -eps, lam)

    return replace(subject, modified=modified)


def _twice_lambda(subject: Subject) -> Subject:
    def modified(truncation: int, gradient: Any, eps: float, lam: float) -> Any:
        return subject.modified(truncation, gradient, eps, 2 * lam)

    return replace(subject, modified=modified)


def _formulas() -> tuple[str, ...]:
    derived = modified_equation(HeavyBall(), 2).latex()
    return (rf"{derived} + \ldots, \quad v = w', \quad f = -\nabla F",)


CLAIMS = (
    Claim(
        name="modified-equations",
        theme="The path of momentum",
        title="Modified equations of rising order follow the iterates ever more closely",
        statement=(
            "The second-order modified equation of heavy ball, derived by SymPy and truncated "
            "after eps^p, with its initial velocity, is followed to order p + 1: p = 0 to 3, on a "
            f"coupled pendulum from random starts, lambda = {LAMBDA:g}."
        ),
        formulas=_formulas,
        source="inertial modified equation, derived here",
        check=_check,
        controls=(
            Mutation("one-order-less", "the equation with its last term left out", _lower_order),
            Mutation(
                "time-reversed-corrections",
                "odd corrections with the wrong sign: -eps in place of eps",
                _wrong_time_step,
            ),
            Mutation(
                "equation-of-twice-lambda",
                "the equation with 2 lambda in place of lambda",
                _twice_lambda,
            ),
        ),
        draw=_draw,
        caption="Median over the starts, range shaded.",
    ),
)

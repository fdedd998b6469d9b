"""How momentum gradient flow depends on lambda: derivative of its state, with an error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from momentumflow.base.arguments import PositiveFloat, checked
from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.flow.flows import momentum_flow
from momentumflow.numeric.runs.initialisation import Init
from momentumflow.numeric.runs.trajectory import RunStatus

# Central differences at four steps, extrapolated: the truncation error falls
# with the sixth power of the step, the integrator's noise (1e-13) rises with
# its inverse; they meet near this relative step.
_RELATIVE_STEP = 0.02
# Steps of one flow; what takes more oscillates so often that a derivative says nothing.
_MAX_STEPS = 500_000


@checked
@dataclass(frozen=True, eq=False, repr=False)
class FlowSensitivity(Value):
    """Derivatives with respect to lambda at a fixed time, and their estimated errors.

    Attributes
    ----------
    theta, w_plus, w_minus : ndarray, shape (d,)
        d theta/d lambda and so on.
    error : ndarray, shape ()
        Largest change that the last extrapolation step made, over the three:
        an estimate from above in the asymptotic regime.
    """

    theta: FloatArray
    w_plus: FloatArray
    w_minus: FloatArray
    error: FloatArray


@checked
def flow_sensitivity(
    problem: Regression, lam: PositiveFloat, init: Init, t_end: PositiveFloat
) -> FlowSensitivity:
    """Differentiate momentum gradient flow at time `t_end` with respect to lambda.

    Richardson extrapolation of central differences of flows at rtol 1e-13, all
    of them run as one batch.

    Parameters
    ----------
    problem : Regression
        One problem (no leading axes).
    lam : float, > 0
    init : float, array_like or tuple
        As in `momentum_flow`, without leading axes.
    t_end : float, > 0

    Returns
    -------
    FlowSensitivity
        Derivatives of shape (d,), with an estimate of their error.

    Raises
    ------
    InputError
        lambda <= 0, a batch of problems, a flow that does not reach `t_end` within
        500,000 steps, or what `momentum_flow` raises.
    """
    if problem.batch_shape:
        raise InputError("a single problem", f"a batch of shape {problem.batch_shape}")
    steps = _RELATIVE_STEP * lam / 2.0 ** np.arange(3)
    lams = lam + np.concatenate([steps, -steps])
    runs = momentum_flow(problem, lams, init, t_end=t_end, rtol=1e-13, max_steps=_MAX_STEPS)
    if np.any(runs.status != RunStatus.COMPLETED):
        raise InputError(
            f"a flow that can be followed to t_end = {t_end:g}",
            f"one that ends at {float(runs.time.min()):.3g} after {int(runs.steps.max())} steps",
            "reduce t_end or init, or rescale X and y",
        )
    states = np.stack([runs.theta, runs.w_plus, runs.w_minus], axis=1)
    half = steps.size
    table = (states[:half] - states[half:]) / (2 * steps)[:, None, None]
    for order in (1, 2):
        previous = table
        table = table[1:] + (table[1:] - table[:-1]) / (4.0**order - 1)
    change = np.abs(table[-1] - previous[-1]).max()
    theta, w_plus, w_minus = table[-1]
    return FlowSensitivity(theta, w_plus, w_minus, np.asarray(change))

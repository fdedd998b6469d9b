"""A flow handed to the stiff integrator: when that pays, its polar coordinates, and back.

An explicit method is bound by stability once the support is found: its steps stay as short
as the fastest rate, however slow what is left to do. Radau IIA in polar coordinates
(`stiff_loops`) takes steps that grow with time.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.numeric.flow.flow_state import STEP, TIME, Equation, Goal, Run, State
from momentumflow.numeric.flow.radau import radau
from momentumflow.numeric.runs.kernels import limit_theorem_diagonal_numpy as limit_theorem

# Stages of Radau IIA. Measured on 20 x 30, alpha from .1 to 1e-60, lambda from 0 to 10:
# with 5 stages a run takes up to 1.6 times as long as with 7, with 9 as long.
_STAGES = 7
# A step of DOP853 that is bound by stability is about 6 over the fastest rate (the
# length of its interval on the negative real axis); bound by accuracy it is far shorter.
_BOUND_BY_STABILITY = 3.0


def residual(run: Run) -> FloatArray:
    """Return X theta - y; shape (n,)."""
    r: FloatArray = run.data.X @ limit_theorem.parameter(run.Y[0], run.Y[1]) - run.data.y
    return r


def is_stiff(run: Run) -> bool:
    """Tell whether the steps of an explicit method are as long as its stability allows.

    The fastest rates are those of `lambda x^2 + x + k = 0`, k the largest curvature of the
    loss along the weights: 1/lambda, or sqrt(k/lambda) where momentum oscillates.
    """
    X, lam = run.data.X, run.data.lam
    scaled = X * np.sqrt((run.Y[0] ** 2 + run.Y[1] ** 2) / 2)
    curvature = float(np.linalg.norm(scaled, 2)) ** 2 / run.data.y.size
    fastest = curvature if lam == 0 else max(1 / lam, float(np.sqrt(curvature / lam)))
    return bool(run.clock[STEP] * fastest > _BOUND_BY_STABILITY)


class StiffFlow:
    """A run in polar coordinates.

    Parameters
    ----------
    run : Run
        From where it stands; its arrays are brought up to date by every `advance`.
    goal : Goal
    """

    def __init__(self, run: Run, goal: Goal) -> None:
        self.run, self.goal = run, goal
        self._lost = np.zeros((2, 2 * run.d))

    @cached_property
    def _equation(self) -> Equation:
        run, lam = self.run, self.run.data.lam
        push = float(np.max(np.abs(run.data.X.T @ residual(run)))) / run.data.y.size
        # the angle turns evenly where |m w'| is as large as |w|
        unit = lam if lam * push <= 1 else float(np.sqrt(lam / push))
        X = np.ascontiguousarray(run.data.X[:, : run.d])
        return Equation(X, run.data.y, lam, unit, unit * (unit / lam) if lam > 0 else 0.0)

    @cached_property
    def _state(self) -> State:
        run, lam, m, d = self.run, self.run.data.lam, self._equation.m, self.run.d
        r = residual(run)
        w, velocity = run.Y[:2, :d].ravel(), run.Y[2:, :d].ravel()
        if lam > 0:
            sign = np.where(w == 0, np.sign(velocity), np.sign(w))
            angle = np.arctan2(m * velocity * sign, np.abs(w))
            chi = angle / m
            M = np.log(np.hypot(w, m * velocity)) + lam / m * np.sin(angle) * np.cos(angle)
        else:
            g = run.data.X[:, :d].T @ r / run.data.y.size
            sign, chi, M = np.sign(w), np.concatenate((-g, g)), np.log(np.abs(w))
        return State(
            M=M, chi=chi, sign=sign, r=r, G=run.G[:d].copy(), Q=run.Q[:, :d].ravel(),
            crossing=run.crossing[:, :d].ravel(), flips=run.flips, lost=self._lost,
            clock=np.array([run.clock[TIME], run.clock[STEP], 0.0]), counters=run.counters,
            last=np.zeros((_STAGES, 2, 2 * d)),
        )  # fmt: skip

    def _first_step(self) -> float:
        """Return a hundredth of the shortest time scale."""
        equation, t_end = self._equation, self.goal.t_end
        push = float(np.max(np.abs(equation.X.T @ self._state.r))) / equation.y.size
        rate = push if equation.lam == 0 else max(1 / equation.lam, 1 / equation.m)
        return min(0.01 / rate if rate > 0 else t_end, t_end)

    def advance(self, budget: int) -> int:
        """Take up to `budget` steps; return how it stands, as `stiff_loops.integrate` says."""
        from momentumflow.numeric.flow import polar_loops, stiff_loops

        run, state, d = self.run, self._state, self.run.d
        if state.clock[STEP] == 0:
            state.clock[STEP] = self._first_step()
        code = int(stiff_loops.integrate(self._equation, radau(_STAGES), state, self.goal, budget))
        polar_loops.weights(self._equation, state, run.Y)
        run.G[:d], run.Q[:, :d] = state.G, state.Q.reshape(2, d)
        run.crossing[:, :d] = state.crossing.reshape(2, d)
        run.clock[:2] = state.clock[:2]
        return code

    def lost_weight(self) -> bool:
        """Whether a weight ended at zero, or stood so near it that an error moved it on.

        Where w'/w is near -1/lambda an error of the angle grows, and one of `rtol` may
        have grown to the size of the angle. A weight that is small for any other reason is
        known.
        """
        grown = np.any(self._lost[1] > -np.log(self.goal.rtol))
        return bool(grown or np.any(self.run.Y[:2, : self.run.d] == 0))

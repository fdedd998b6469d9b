"""The unit in which solvers see a problem: its solution is of order one."""

from __future__ import annotations

import numpy as np

from momentumflow.numeric.implicit.potentials import Potential
from momentumflow.numeric.implicit.rows import Rows
from momentumflow.numeric.validation import FloatArray


def problem_scale(rows: Rows, y: FloatArray, potential: Potential) -> FloatArray:
    """The size of the solution: the largest entry of the least-norm one, shape (B,)."""
    scale = np.abs(rows.least_norm(y)).max(axis=-1)
    if np.all(scale > 0):
        return scale
    fallback = np.abs(potential.reference_point()).max(axis=-1)
    scale = np.where(scale > 0, scale, fallback)
    return np.where((scale > 0) & np.isfinite(scale), scale, 1.0)

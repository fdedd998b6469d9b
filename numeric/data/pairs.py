"""What the convex problem is stated as: a `Regression`, or a pair (X, y) with X of any form."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator

from momentumflow.base.arguments import Door, Unfit, door_of
from momentumflow.base.arrays import Matrix, Vector
from momentumflow.base.errors import InputError
from momentumflow.numeric.data.problems import Regression

_DENSE, _TARGET = door_of(Matrix), door_of(Vector)


def _design(name: str, value: Any) -> Any:
    sparse = scipy.sparse.issparse(value)
    if not (sparse or isinstance(value, LinearOperator)):
        X = _DENSE.take(name, value)
    elif np.dtype(value.dtype or np.float64).kind not in "buif":
        raise Unfit("convert it to float64 first")
    else:
        # every other sparse format is read through csr
        X = scipy.sparse.csr_array(value, dtype=np.float64) if sparse else value
        if len(X.shape) != 2:
            raise InputError(f"{name} with two axes", f"shape {X.shape}")
        if sparse and not np.isfinite(X.data).all():
            raise InputError(f"finite values in {name}", "NaN or infinity among its entries")
    if 0 in X.shape:
        raise InputError(f"{name} with at least one row and one column", f"shape {X.shape}")
    return X


def _stated(name: str, value: Any) -> Any:
    if isinstance(value, Regression):
        return value
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Unfit
    X, y = MATRIX("X", value[0]), _TARGET("y", value[1])
    if y.shape[-1] != X.shape[-2]:
        raise InputError(
            f"y with one entry for each of the {X.shape[-2]} rows of X", f"y of shape {y.shape}"
        )
    return X, y


MATRIX = Door("real numbers, a sparse array or a LinearOperator", _design)
AnyMatrix: TypeAlias = Annotated[Any, MATRIX]
AnyProblem: TypeAlias = Annotated[
    Regression | tuple[Any, ArrayLike], Door("a Regression or a pair (X, y)", _stated)
]

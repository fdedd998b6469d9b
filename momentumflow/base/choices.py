"""The words that arguments choose among, as types.

They stand below the rooms, so that the command line knows them without loading
a room; `typing.get_args` lists the words of a type.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

# What tends to zero while a method becomes an equation: eps at fixed lambda, or gamma.
Regime: TypeAlias = Literal["inertial", "slow"]
# What a modified loss belongs to: the flow between steps, or the one-step map.
Followed: TypeAlias = Literal["flow", "map"]
# What kernels are written for.
Backend: TypeAlias = Literal["numba", "numpy", "jax", "torch", "c"]
# Methods whose kernels ship with the package.
ShippedMethod: TypeAlias = Literal["heavy_ball", "nesterov", "gradient_descent"]
# Methods that have a name.
NamedMethod: TypeAlias = Literal["heavy_ball", "nesterov", "gradient_descent", "quasi_hyperbolic"]
# Optimisers with memories that have a name.
NamedOptimiser: TypeAlias = Literal[
    "adam", "adamw", "rmsprop", "nadam", "adabelief", "signum", "lion", "sgd"
]
# Methods that the interactive page offers.
ExploredMethod: TypeAlias = Literal["heavy_ball", "nesterov"]
# Random designs of sparse problems, and a real one.
Design: TypeAlias = Literal["centred", "mean-one", "correlated", "diabetes"]

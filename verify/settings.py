"""How hard a verification looks: seeds, grids, tolerances, and the root of all randomness."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

import numpy as np

from momentumflow.base.arguments import Natural, PositiveFloat, Where, checked

# A spread needs two; more than a million never ends.
Seeds: TypeAlias = Annotated[int, Where(">= 2", lambda n: 2 <= n <= 10**6)]


@checked
@dataclass(frozen=True)
class Settings:
    """How hard to look.

    Parameters
    ----------
    seeds : int
        Independent problems for each random check, >= 2 (an interval needs two).
    quick : bool
        Smaller grids: the whole set in under a minute.
    tolerance_scale : float
        Factor on every numerical tolerance, > 0; 1 is what the theory is held to.
    base_seed : int
        Root of all randomness, >= 0. The same settings give the same numbers.
    control : bool
        Set for negative controls: the smallest case that tells right from wrong.
    """

    seeds: Seeds = 20
    quick: bool = False
    tolerance_scale: PositiveFloat = 1.0
    base_seed: Natural = 0
    control: bool = False

    def rng(self, *labels: str) -> np.random.Generator:
        """Return the generator that belongs to these labels, whatever ran before."""
        words = [zlib.crc32(label.encode()) for label in labels]
        return np.random.default_rng(np.random.SeedSequence([self.base_seed, *words]))

    def tolerance(self, value: float) -> float:
        """Return a tolerance scaled by what the user asked for."""
        return value * self.tolerance_scale

    def for_controls(self) -> Settings:
        """Return the settings of negative controls: a wrong theory fails on a few seeds."""
        return replace(self, seeds=min(self.seeds, 3), quick=True, control=True)

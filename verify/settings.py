"""How hard a verification looks: seeds, grids, tolerances, and the root of all randomness."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

from momentumflow.numeric.validation import count, positive


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

    seeds: int = 20
    quick: bool = False
    tolerance_scale: float = 1.0
    base_seed: int = 0
    control: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", count("seeds", self.seeds, minimum=2))
        object.__setattr__(self, "base_seed", count("base_seed", self.base_seed, minimum=0))
        scale = float(positive("tolerance_scale", self.tolerance_scale))
        object.__setattr__(self, "tolerance_scale", scale)

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

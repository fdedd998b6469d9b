"""momentumflow: momentum gradient descent in continuous time.

Derive the differential equation that a momentum method follows
(`momentumflow.symbolic`), run the method and its flow on diagonal linear
networks and solve the convex problem that their limits solve
(`momentumflow.numeric`), and hold the two against each other
(`momentumflow.verify`).

Every public name is loaded on first use, so that importing the package costs
neither SymPy nor CVXPY. The theory is that of Papazov, Pesme and Flammarion,
AISTATS 2024, arXiv 2403.05293.
"""

import lazy_loader as _lazy

from momentumflow.base.version import __version__ as __version__

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

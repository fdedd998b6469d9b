"""Works that statements cite in a few words; `literature` sets the same ones in full.

Kept apart from it so that a derivation need not read the bibliography; a test holds
that both say the same.
"""

from __future__ import annotations

PPF = "Papazov, Pesme, Flammarion, arXiv 2403.05293"

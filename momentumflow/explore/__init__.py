"""The interactive page behind `momentumflow explore`.

The page derives and simulates nothing of its own: `formulas.py` compiles what
the symbolic room derives, `scene.py` runs and predicts with the numeric room,
`pictures.py` draws in the shared style and `words.py` says what is to be seen.
`notebook.py` is the page, a marimo app, and `server.py` serves it. Only the last two
need the extra `explore`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

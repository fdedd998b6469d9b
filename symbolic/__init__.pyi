from .codegen import (
    Kernel as Kernel,
    kernel as kernel,
)
from .errors import InputError as InputError
from .identities import (
    Identity as Identity,
    Proof as Proof,
    ProofError as ProofError,
)
from .networks import (
    DiagonalNetwork as DiagonalNetwork,
    SeparableNetwork as SeparableNetwork,
)

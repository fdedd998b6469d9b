from .codegen import (
    Kernel as Kernel,
    kernel as kernel,
)
from .damping import (
    friction as friction,
    friction_identities as friction_identities,
    uniqueness_defect as uniqueness_defect,
)
from .energies import (
    Energy as Energy,
    energy as energy,
)
from .equations import (
    FirstOrderForm as FirstOrderForm,
    MemorylessMap as MemorylessMap,
    ModifiedEquation as ModifiedEquation,
    leading_equation as leading_equation,
    memoryless_map as memoryless_map,
    modified_equation as modified_equation,
)
from .errors import InputError as InputError
from .gradient_structure import (
    GradientStatus as GradientStatus,
    ModifiedLoss as ModifiedLoss,
    Obstruction as Obstruction,
    modified_loss as modified_loss,
)
from .identities import (
    Identity as Identity,
    Proof as Proof,
    ProofError as ProofError,
)
from .methods import (
    GradientDescent as GradientDescent,
    HeavyBall as HeavyBall,
    MomentumMethod as MomentumMethod,
    Nesterov as Nesterov,
    QuasiHyperbolic as QuasiHyperbolic,
)
from .mirror import (
    Commutation as Commutation,
    MirrorFlow as MirrorFlow,
    MirrorStatus as MirrorStatus,
    commutation as commutation,
    mirror_flow as mirror_flow,
)
from .modules import write_kernels as write_kernels
from .networks import (
    DiagonalNetwork as DiagonalNetwork,
    SeparableNetwork as SeparableNetwork,
)
from .quadratic import (
    PrincipalFlow as PrincipalFlow,
    principal_flow as principal_flow,
    slow_root_series as slow_root_series,
)
from .recurrences import Recurrence as Recurrence
from .scaling import (
    AccelerationRule as AccelerationRule,
    acceleration_rule as acceleration_rule,
    intrinsic_parameter as intrinsic_parameter,
    refined_parameter as refined_parameter,
    time_step as time_step,
)
from .stability import stability_limit as stability_limit
from .tree_series import (
    Term as Term,
    TreeSeries as TreeSeries,
)
from .trees import (
    Tree as Tree,
    tree as tree,
)

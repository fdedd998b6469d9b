from .codegen.compiled import (
    Kernel as Kernel,
    kernel as kernel,
)
from .codegen.kernel_files import (
    committed_kernels as committed_kernels,
    kernel_file_name as kernel_file_name,
    kernel_source as kernel_source,
    write_kernels as write_kernels,
)
from .codegen.optimiser_updates import update_source as update_source
from .codegen.remainder_laws import RemainderLaw as RemainderLaw
from .equations.damping import (
    friction as friction,
    friction_identities as friction_identities,
    uniqueness_defect as uniqueness_defect,
)
from .equations.energies import (
    Energy as Energy,
    energy as energy,
)
from .equations.epoch_loss import EpochLoss as EpochLoss, epoch_loss as epoch_loss
from .equations.gradient_structure import (
    ModifiedLoss as ModifiedLoss,
    Obstruction as Obstruction,
    modified_loss as modified_loss,
)
from .equations.inertial_optimiser import InertialSystem as InertialSystem
from .equations.intrinsic_parameters import (
    AccelerationRule as AccelerationRule,
    acceleration_rule as acceleration_rule,
    intrinsic_parameter as intrinsic_parameter,
    intrinsic_parameters as intrinsic_parameters,
    refined_parameter as refined_parameter,
    time_step as time_step,
)
from .equations.modified_equations import (
    FirstOrderForm as FirstOrderForm,
    MemorylessMap as MemorylessMap,
    ModifiedEquation as ModifiedEquation,
    leading_equation as leading_equation,
    memoryless_map as memoryless_map,
    modified_equation as modified_equation,
)
from .equations.moment_matching import moment_identities as moment_identities
from .equations.preconditioned_loss import (
    GradientStatus as GradientStatus,
    PreconditionedLoss as PreconditionedLoss,
)
from .equations.quadratic import (
    PrincipalFlow as PrincipalFlow,
    principal_flow as principal_flow,
    slow_root_series as slow_root_series,
)
from .equations.quadratic_noise import (
    LinearProcess as LinearProcess,
    QuadraticMoments as QuadraticMoments,
    quadratic_moments as quadratic_moments,
)
from .equations.scaling_rules import (
    ScalingRule as ScalingRule,
    scaling_rules as scaling_rules,
)
from .equations.stability import stability_limit as stability_limit
from .equations.stochastic import (
    StochasticEquation as StochasticEquation,
    stochastic_equation as stochastic_equation,
)
from .equations.stochastic_optimiser import OptimiserDiffusion as OptimiserDiffusion
from .equations.transfers import Transfer as Transfer, transfer as transfer
from .equations.written_equations import written_out as written_out
from .identities import (
    Identity as Identity,
    Proof as Proof,
    ProofError as ProofError,
)
from .methods.momentum_methods import (
    GradientDescent as GradientDescent,
    HeavyBall as HeavyBall,
    MomentumMethod as MomentumMethod,
    Nesterov as Nesterov,
    QuasiHyperbolic as QuasiHyperbolic,
    known_method as known_method,
)
from .methods.optimisers import (
    SGD as SGD,
    AdaBelief as AdaBelief,
    Adam as Adam,
    AdamW as AdamW,
    Lion as Lion,
    NAdam as NAdam,
    Optimiser as Optimiser,
    RMSProp as RMSProp,
    Signum as Signum,
    known_optimiser as known_optimiser,
)
from .methods.read_optimisers import (
    ReadOptimiser as ReadOptimiser,
    from_optax as from_optax,
    from_torch as from_torch,
)
from .methods.recurrences import Recurrence as Recurrence
from .networks.diagonal_network import (
    DiagonalNetwork as DiagonalNetwork,
    SeparableNetwork as SeparableNetwork,
)
from .networks.mirror_flows import (
    Commutation as Commutation,
    MirrorFlow as MirrorFlow,
    MirrorStatus as MirrorStatus,
    commutation as commutation,
    mirror_flow as mirror_flow,
)
from .networks.polar_flow import PolarFlow as PolarFlow
from .networks.straightening import (
    Straightening as Straightening,
    straightened as straightened,
)
from .printing import as_latex as as_latex, as_text as as_text
from .series.contraction_series import ContractionSeries as ContractionSeries
from .series.elementwise_series import (
    ElementwiseEquation as ElementwiseEquation,
    ElementwiseMap as ElementwiseMap,
)
from .series.terms import Term as Term
from .series.tree_series import TreeSeries as TreeSeries
from .theorems.statements import (
    Inequality as Inequality,
    Limit as Limit,
    MatrixIdentity as MatrixIdentity,
    Minimum as Minimum,
    Sentence as Sentence,
)
from .theorems.theorem import Theorem as Theorem
from .theorems.theorem_list import (
    theorem as theorem,
    theorems as theorems,
)
from .trees.rooted_trees import (
    Tree as Tree,
    tree as tree,
)

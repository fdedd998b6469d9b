from .data.problems import (
    Regression as Regression,
    diabetes_regression as diabetes_regression,
    load_regression as load_regression,
    sparse_regression as sparse_regression,
)
from .flow.flow_sensitivity import (
    FlowSensitivity as FlowSensitivity,
    flow_sensitivity as flow_sensitivity,
)
from .flow.flows import momentum_flow as momentum_flow
from .flow.lambda_bounds import (
    ConvergenceBound as ConvergenceBound,
    SignChangeBound as SignChangeBound,
    convergence_bound as convergence_bound,
    sign_change_bound as sign_change_bound,
)
from .flow.rich_path import RichPath as RichPath, rich_path as rich_path
from .flow.small_lambda import (
    LimitDerivative as LimitDerivative,
    MomentumPenalty as MomentumPenalty,
    limit_derivative as limit_derivative,
    momentum_penalty as momentum_penalty,
)
from .implicit import (
    Certificate as Certificate,
    ConstrainedSolution as ConstrainedSolution,
    DepthEntropy as DepthEntropy,
    DerivedPotential as DerivedPotential,
    Enclosure as Enclosure,
    HyperbolicEntropy as HyperbolicEntropy,
    ImplicitModel as ImplicitModel,
    ImplicitSolution as ImplicitSolution,
    ImplicitStatus as ImplicitStatus,
    KullbackLeibler as KullbackLeibler,
    NetworkPotential as NetworkPotential,
    Potential as Potential,
    RegularisationPath as RegularisationPath,
    WeightedL1 as WeightedL1,
    WeightedL2 as WeightedL2,
    certify as certify,
    enclose as enclose,
    implicit_solution as implicit_solution,
    lazy_limit as lazy_limit,
    linear_program as linear_program,
    nearest_consistent_target as nearest_consistent_target,
    potential_of_map as potential_of_map,
    regularisation_path as regularisation_path,
    rich_limit as rich_limit,
)
from .plots import plot_sweep as plot_sweep
from .runs.descent import momentum_descent as momentum_descent
from .runs.foresight import PredictedLimit as PredictedLimit
from .runs.optimiser_loop import (
    LoopStatus as LoopStatus,
    OptimiserRun as OptimiserRun,
    run_optimiser as run_optimiser,
)
from .runs.schedules import Schedule as Schedule
from .runs.sde_paths import (
    Ensemble as Ensemble,
    EnsembleStatus as EnsembleStatus,
    NoisyGradient as NoisyGradient,
    minibatch_noise as minibatch_noise,
    momentum_sde as momentum_sde,
)
from .runs.sharpness import sharpness as sharpness
from .runs.trajectory import (
    Path as Path,
    RunStatus as RunStatus,
    SignChanges as SignChanges,
    Trajectory as Trajectory,
)
from .sweeps.grids import statuses as statuses, sweep as sweep

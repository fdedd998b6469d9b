from .descent import momentum_descent as momentum_descent
from .flow import momentum_flow as momentum_flow
from .implicit import (
    HyperbolicEntropy as HyperbolicEntropy,
    ImplicitSolution as ImplicitSolution,
    ImplicitStatus as ImplicitStatus,
    implicit_solution as implicit_solution,
)
from .problems import (
    Regression as Regression,
    diabetes_regression as diabetes_regression,
    load_regression as load_regression,
    sparse_regression as sparse_regression,
)
from .sensitivity import FlowSensitivity as FlowSensitivity, flow_sensitivity as flow_sensitivity
from .sweeps import sweep as sweep
from .trajectory import (
    Path as Path,
    RunStatus as RunStatus,
    SignChanges as SignChanges,
    Trajectory as Trajectory,
)

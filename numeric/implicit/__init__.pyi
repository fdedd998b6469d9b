from .api import (
    implicit_solution as implicit_solution,
    nearest_consistent_target as nearest_consistent_target,
)
from .certificate import Certificate as Certificate, certify as certify
from .derived import DerivedPotential as DerivedPotential
from .enclosure import Enclosure as Enclosure, enclose as enclose
from .entropies import (
    DepthEntropy as DepthEntropy,
    KullbackLeibler as KullbackLeibler,
    WeightedL2 as WeightedL2,
)
from .extension import ConstrainedSolution as ConstrainedSolution, ImplicitModel as ImplicitModel
from .from_map import potential_of_map as potential_of_map
from .limit_problems import (
    WeightedL1 as WeightedL1,
    lazy_limit as lazy_limit,
    linear_program as linear_program,
    rich_limit as rich_limit,
)
from .network_potential import NetworkPotential as NetworkPotential
from .path import (
    RegularisationPath as RegularisationPath,
    regularisation_path as regularisation_path,
)
from .potentials import HyperbolicEntropy as HyperbolicEntropy, Potential as Potential
from .solution import ImplicitSolution as ImplicitSolution, ImplicitStatus as ImplicitStatus
from .solution_sensitivity import Sensitivity as Sensitivity, sensitivity as sensitivity

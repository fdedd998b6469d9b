from .api import implicit_solution as implicit_solution
from .certificate import Certificate as Certificate, certify as certify
from .potentials import HyperbolicEntropy as HyperbolicEntropy, Potential as Potential
from .solution import ImplicitSolution as ImplicitSolution, ImplicitStatus as ImplicitStatus

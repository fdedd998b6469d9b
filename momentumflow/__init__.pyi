from . import numeric as numeric, symbolic as symbolic, verify as verify
from .citing import Citation as Citation, cite as cite
from .diagnosis import Diagnosis as Diagnosis, diagnose as diagnose
from .symbolic.errors import InputError as InputError

from . import numeric as numeric, symbolic as symbolic, verify as verify
from .base.errors import InputError as InputError
from .citing import Citation as Citation, cite as cite
from .diagnosis import Diagnosis as Diagnosis, diagnose as diagnose

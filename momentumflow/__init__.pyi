from . import numeric as numeric, symbolic as symbolic, theory as theory, verify as verify
from .base.errors import InputError as InputError
from .citing import Citation as Citation, cite as cite
from .diagnosis import Diagnosis as Diagnosis, diagnose as diagnose

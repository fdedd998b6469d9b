from . import numeric as numeric, symbolic as symbolic, verify as verify

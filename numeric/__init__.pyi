from .problems import (
    Regression as Regression,
    diabetes_regression as diabetes_regression,
    load_regression as load_regression,
    sparse_regression as sparse_regression,
)

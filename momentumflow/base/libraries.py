"""Heavy libraries that only some uses need: each is loaded here alone, when first asked for."""

from __future__ import annotations

from typing import Any


def cvxpy() -> Any:
    """Return CVXPY."""
    import cvxpy

    return cvxpy


def joblib() -> Any:
    """Return joblib, whose import changes the environment of the process."""
    import joblib

    return joblib


def matplotlib() -> Any:
    """Return matplotlib with what figures are made of; without pyplot, so without a window."""
    import matplotlib.figure
    import matplotlib.patheffects
    import matplotlib.ticker

    return matplotlib


def pandas() -> Any:
    """Return pandas."""
    import pandas

    return pandas


def rich() -> Any:
    """Return rich with its tables and bars, for terminals."""
    import rich.console
    import rich.progress
    import rich.table
    import rich.text

    return rich


def scikit_learn() -> Any:
    """Return scikit-learn with its data sets and what we take of its models."""
    import sklearn.datasets
    import sklearn.linear_model
    import sklearn.preprocessing

    return sklearn


def xarray() -> Any:
    """Return xarray."""
    import xarray

    return xarray

"""Which works a result rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from momentumflow.base.errors import InputError
from momentumflow.base.literature import SOURCES, Source

_METHODS = {
    "heavy_ball": ("polyak1964",),
    "heavy ball": ("polyak1964",),
    "nesterov": ("nesterov1983",),
    "Nesterov": ("nesterov1983",),
    "quasi-hyperbolic momentum": ("ma2019",),
    "momentum_flow": ("hairer1993", "hairer1996"),
}
# What every result rests on.
_ALWAYS = ("momentumflow", "papazov2024")


@dataclass(frozen=True, repr=False)
class Citation:
    """Works to cite, the software first.

    `str` lists them for people, `bibtex()` for LaTeX; a notebook shows a list.

    Parameters
    ----------
    sources : tuple of Source
        Each work once.
    """

    sources: tuple[Source, ...]

    @classmethod
    def everything(cls) -> Citation:
        """Return every work that the package draws on."""
        return cls(tuple(SOURCES.values()))

    def bibtex(self) -> str:
        """Return one BibTeX entry for each work."""
        return "\n\n".join(source.bibtex() for source in self.sources)

    def __repr__(self) -> str:
        return f"<Citation of {', '.join(source.key for source in self.sources)}>"

    def __str__(self) -> str:
        return "\n".join(str(source) for source in self.sources)

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{source.html()}</li>" for source in self.sources)
        return f"<ul>{items}</ul>"


def _trajectory(run: Any) -> Iterator[str]:
    yield from _METHODS.get(run.settings["method"], ())
    yield from _regression(run.problem)


def _regression(problem: Any) -> Iterator[str]:
    if problem.name.startswith("diabetes"):
        yield "efron2004"


def _solution(solution: Any) -> Iterator[str]:
    yield from _POTENTIALS.get(type(solution.potential).__name__, ())
    if solution.solver == "cvxpy":
        yield from ("diamond2016", "goulart2024")


_POTENTIALS = {
    "HyperbolicEntropy": ("woodworth2020",),
    "DepthEntropy": ("woodworth2020",),
    "KullbackLeibler": ("wang2023",),
}


def _method(method: Any) -> Iterator[str]:
    yield from _METHODS.get(method.name, ())
    yield "meurer2017"


def _equation(equation: Any) -> Iterator[str]:
    yield from _method(equation.method)
    yield "hairer2006"
    if getattr(equation, "regime", "slow") == "slow":
        yield from ("kovachki2021", "cattaneo2025")


def _claim(claim: Any) -> Iterator[str]:
    for source in SOURCES.values():
        if source.arxiv and source.arxiv in claim.source:
            yield source.key


def _prediction(prediction: Any) -> Iterator[str]:
    yield from _trajectory(prediction.run)
    for solution in (prediction.newton, prediction.cvxpy):
        if solution is not None:
            yield from _solution(solution)


# By the name of the class, so that citing needs no room to be loaded.
_RULES: dict[str, Callable[[Any], Iterator[str]]] = {
    "Trajectory": _trajectory,
    "Regression": _regression,
    "ImplicitSolution": _solution,
    "MomentumMethod": _method,
    "ModifiedEquation": _equation,
    "EpochLoss": lambda _: iter(("meurer2017", "smith2021", "ghosh2023")),
    "ModifiedLoss": lambda _: iter(("meurer2017", "ghosh2023", "cattaneo2025")),
    "MemorylessMap": _equation,
    "Claim": _claim,
    "ClaimResult": lambda result: _claim(result.claim),
    "Report": lambda report: (key for result in report.results for key in _claim(result.claim)),
    "Prediction": _prediction,
    "Enclosure": lambda _: iter(("krawczyk1969", "johansson2017")),
    "Identity": lambda identity: iter(("meurer2017", *_claim(identity))),
}


def cite(*results: Any) -> Citation:
    """List the works that results rest on, the software and the theory first.

    Parameters
    ----------
    *results
        What the package returned: trajectories, solutions, methods, modified
        equations, identities, claims, reports, predictions, problems,
        enclosures. None at all gives the software and the paper.

    Returns
    -------
    Citation
        Each work once.

    Raises
    ------
    InputError
        For an object that is no result of this package.

    Examples
    --------
    >>> import momentumflow as mf
    >>> [source.key for source in mf.cite().sources]
    ['momentumflow', 'papazov2024']
    >>> [source.key for source in mf.cite(mf.symbolic.HeavyBall()).sources]
    ['momentumflow', 'papazov2024', 'polyak1964', 'meurer2017']
    """
    keys = list(_ALWAYS)
    for result in results:
        names = [
            c.__name__ for c in type(result).__mro__ if c.__module__.startswith("momentumflow")
        ]
        rule = next((_RULES[name] for name in names if name in _RULES), None)
        if rule is None:
            raise InputError(
                "results of momentumflow, such as a Trajectory or a ModifiedEquation",
                f"a {type(result).__name__}",
            )
        keys.extend(rule(result))
    return Citation(tuple(SOURCES[key] for key in dict.fromkeys(keys)))

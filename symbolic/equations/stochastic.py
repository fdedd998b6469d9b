r"""Stochastic modified equations: the diffusion that a momentum method with gradient noise follows.

    dw = a_w dt + ...,  dv = a_v dt + ...,  covariance rates D_ww, D_wv, D_vv,

read off the generator (`markov_generators.py`). Each gradient carries independent noise of mean
zero and covariance `Sigma(w)`; for a mean over a batch of B samples that is `Sigma/B`. Two
countings of its size:

`noise="kept"`: `T = eps Sigma` (slow: `gamma Sigma`) is fixed, so that noise is there in the
limit. The moments of the noise up to the fourth are those of a Gaussian.
`noise="small"`: `Sigma` is fixed and its effect vanishes with the step, as in Li, Tai, E
(JMLR 20(40), 2019); any noise with finite moments.

Weak order p: means of smooth functions at a fixed time are right up to the p-th power of the
small number. Weak order 3 has third derivatives in its generator; no diffusion does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, overload

import sympy as sp
from numpy.typing import ArrayLike

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import Reals
from momentumflow.base.choices import Regime
from momentumflow.base.errors import InputError
from momentumflow.base.values import FrozenMapping
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.inertial_regime import InertialScaling, inertial_scaling
from momentumflow.symbolic.equations.markov_generators import (
    Coefficients,
    inertial_generator,
    slow_generator,
)
from momentumflow.symbolic.equations.stochastic_optimiser import (
    OptimiserDiffusion,
    optimiser_diffusion,
)
from momentumflow.symbolic.expressions import Formula, SymbolLike
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.methods.optimisers import Optimiser
from momentumflow.symbolic.series.contraction_series import ContractionSeries, series_of
from momentumflow.symbolic.series.contractions import COVARIANCE, Contraction, V, W, slots
from momentumflow.symbolic.series.diffusion import (
    Covariance,
    Diffusion,
    diffusion,
    fields_of,
    written_out,
)
from momentumflow.symbolic.series.right_hand_side import parameter_values

Noise: TypeAlias = Literal["kept", "small"]

BLOCKS = ("ww", "wv", "vv")


@checked
@dataclass(frozen=True, repr=False)
class StochasticEquation:
    """A diffusion: drift and covariance rate, of w alone or of w and v.

    Attributes
    ----------
    method : MomentumMethod
    order : int
        The weak order, 1 or 2.
    regime : {"inertial", "slow"}
        Time is that of eps a step, or counts steps.
    noise : {"kept", "small"}
        How large it is taken to be; see the head of `symbolic/equations/stochastic.py`.
    drift : mapping of str to ContractionSeries
        Of "w", and of "v" in the inertial regime.
    covariance : mapping of str to ContractionSeries
        Of "ww", and of "wv" and "vv": `d<w, v>/dt`, a row for each component of w.
    scaling : InertialScaling or None
        eps and lambda in the method's parameters.
    """

    method: MomentumMethod
    order: int
    regime: Regime
    noise: Noise
    drift: Mapping[str, ContractionSeries]
    covariance: Mapping[str, ContractionSeries]
    scaling: InertialScaling | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "drift", FrozenMapping(self.drift))
        object.__setattr__(self, "covariance", FrozenMapping(self.covariance))

    def __iter__(self) -> Iterator[ContractionSeries]:
        yield from self.drift.values()
        yield from self.covariance.values()

    def written_out(
        self,
        loss: Formula,
        covariance: Covariance,
        variables: Sequence[SymbolLike] | None = None,
    ) -> tuple[sp.Matrix, sp.Matrix]:
        """Return drift and covariance rate for a loss, as matrices of expressions.

        Parameters
        ----------
        loss : sympy.Expr or str
            The loss F.
        covariance : sympy.Expr or matrix
            `Sigma(w)`: of the noise of one gradient; an expression stands for that times the
            unit matrix. For a mean over B samples divide by B.
        variables : sequence of symbols, optional
            In the order of the components; all symbols of the loss, sorted, if not given.

        Returns
        -------
        (drift, rate)
            Of w, or of w and v joined; the velocity of `x` is `x'`.

        Raises
        ------
        InputError
            A loss that is not smooth; a covariance of another size, not symmetric, or with
            symbols of its own.
        """
        fields = fields_of(loss, covariance, variables)
        return written_out((self.drift, self.covariance), fields, self.regime)

    def on_arrays(
        self,
        loss: Formula,
        covariance: Covariance,
        variables: Sequence[SymbolLike] | None = None,
        **parameters: Reals,
    ) -> Diffusion:
        """Return drift, covariance rate and noise for a loss, on float64 arrays.

        Parameters
        ----------
        loss, covariance, variables
            As `written_out` takes them.
        **parameters
            `eps` and `lam` (inertial), or the method's own, `gamma` and `beta`.

        Raises
        ------
        InputError
            As `written_out`; a parameter that is missing or unknown.

        Examples
        --------
        >>> from momentumflow.symbolic import HeavyBall, stochastic_equation
        >>> equation = stochastic_equation(HeavyBall(), 1)
        >>> flow = equation.on_arrays("x**2/2", "1/4", eps=0.1, lam=0.5)
        >>> flow.drift([1.0], [0.0])
        array([ 0., -2.])
        >>> flow.covariance([1.0], [0.0])[1, 1].round(12)
        np.float64(0.1)
        """
        fields = fields_of(loss, covariance, variables)
        values = numbers_of(self, parameters)
        return diffusion(self.regime, (self.drift, self.covariance), fields, values)

    def latex(self) -> str:
        """Return drifts and covariance rates in LaTeX, without dollar signs."""
        rows = " \\\\ ".join(series.latex() for series in self)
        return "\\begin{cases}" + rows + "\\end{cases}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def __repr__(self) -> str:
        return (
            f"<StochasticEquation of {self.method.name}, {self.regime} regime, "
            f"weak order {self.order}, noise {self.noise}>"
        )


@overload
def stochastic_equation(
    method: MomentumMethod,
    order: int,
    regime: Regime = ...,
    *,
    noise: Noise = ...,
    constant: bool = ...,
) -> StochasticEquation: ...
@overload
def stochastic_equation(
    method: Optimiser,
    order: int,
    regime: Regime = ...,
    *,
    noise: Noise = ...,
    constant: bool = ...,
) -> OptimiserDiffusion: ...
@checked
def stochastic_equation(
    method: MomentumMethod | Optimiser,
    order: int,
    regime: Regime = "inertial",
    *,
    noise: Noise = "kept",
    constant: bool = False,
) -> StochasticEquation | OptimiserDiffusion:
    """Derive the diffusion that a method with gradient noise follows.

    Parameters
    ----------
    method : MomentumMethod or Optimiser
        A two-point rule that takes one gradient a step; or an optimiser with memories, whose
        leading equation in the inertial regime is found, for noise that is kept.
    order : {1, 2}
        The weak order; 1 for an optimiser.
    regime : {"inertial", "slow"}
        eps to 0 at fixed lambda, in (w, v) with v = (w_k - w_(k-1))/eps up to what a gradient
        moves by itself; or gamma to 0 at fixed parameters, in w alone.
    noise : {"kept", "small"}
        Whether `eps Sigma` (slow: `gamma Sigma`) is fixed, or `Sigma`.
    constant : bool
        Whether the covariance `Sigma` of the noise does not depend on w.

    Returns
    -------
    StochasticEquation or OptimiserDiffusion

    Raises
    ------
    InputError
        Another order or, of an optimiser, regime or noise; a method that is no such rule; no
        symbolic momentum parameter in the inertial regime; noise of which no diffusion is right
        to that order.

    References
    ----------
    Li, Tai, E, JMLR 20(40), 2019, theorems 14 and 16, derive by hand the case of small noise
    for heavy ball and Nesterov; Malladi et al., NeurIPS 2022, that of Adam and RMSProp.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, stochastic_equation
    >>> print(stochastic_equation(HeavyBall(), 1))
    dw/dt = v
    dv/dt = 1/lambda f - 1/lambda v
    d<v,v>/dt = epsilon/lambda**2 Sigma
    """
    if isinstance(method, Optimiser):
        return _of_optimiser(method, order, regime, noise)
    if order not in (1, 2):
        raise InputError(
            "the weak order 1 or 2",
            f"order = {order}",
            "from the third on the generator has third derivatives, which no diffusion has; "
            "without noise modified_equation(method, order) goes further",
        )
    inertial = regime == "inertial"
    step = symbols.eps if inertial else method.step
    found: Coefficients = {}
    for n, part in enumerate((inertial_generator if inertial else slow_generator)(method, order)):
        for graph, c in part.items():
            power = n + sum(kind == COVARIANCE for kind, _ in graph)  # with Sigma fixed
            if (constant and _differentiates(graph)) or not (
                noise == "kept" or power < order or (len(slots(graph)) == 2 and power == 1)
            ):
                continue
            # in units of lambda each of f, v and eps Sigma is over a time
            time = len(graph) - 1 - n - slots(graph).count(V)
            unit = step**power * symbols.lam**time if inertial else step ** (power + 1)
            found[graph] = found.get(graph, sp.S.Zero) + c * unit
    _check_diffusion(found)
    drift, covariance = _series(found)
    return StochasticEquation(
        method,
        order,
        regime,
        noise,
        drift,
        covariance,
        inertial_scaling(method) if inertial else None,
    )


def _of_optimiser(
    optimiser: Optimiser, order: int, regime: Regime, noise: Noise
) -> OptimiserDiffusion:
    if (order, regime, noise) != (1, "inertial", "kept"):
        raise InputError(
            'order = 1, regime = "inertial" and noise = "kept" for an optimiser with memories',
            f'order = {order}, regime = "{regime}" and noise = "{noise}"',
            "state a linear one as a two-point rule, such as HeavyBall(), for more",
        )
    return optimiser_diffusion(optimiser)


def numbers_of(
    equation: StochasticEquation, given: Mapping[str, ArrayLike]
) -> dict[sp.Symbol, ArrayLike]:
    """Return numbers for the symbols of an equation: given as such, or as the method's own."""
    method, scaling = equation.method, equation.scaling
    own = (method.step, *method.parameters)
    if scaling is None:
        return parameter_values(own, own, {}, given)
    derived = {symbols.eps: scaling.time_step, symbols.lam: scaling.intrinsic}
    wanted = (*derived, *(s for s in method.parameters if s != method.momentum))
    return parameter_values(wanted, own, derived, given)


def _differentiates(graph: Contraction) -> bool:
    """Whether a contraction contains a derivative of the covariance."""
    into = {t for _, targets in graph for t in targets}
    return any(kind == COVARIANCE and i in into for i, (kind, _) in enumerate(graph))


def _check_diffusion(found: Coefficients) -> None:
    if any(len(slots(graph)) > 2 for graph in found):
        raise InputError(
            "a generator without third derivatives",
            "kept noise that depends on w and moves w within a step, so that third cumulants grow "
            "at weak order 2",
            'take order=1, noise="small", or constant=True where Sigma does not depend on w',
        )


def _series(
    found: Coefficients,
) -> tuple[dict[str, ContractionSeries], dict[str, ContractionSeries]]:
    """Sort a generator into drifts and covariance rates."""
    blocks: dict[str, Coefficients] = {}
    for graph, c in found.items():
        block = "".join("w" if slot == W else "v" for slot in slots(graph))
        # the generator is drift times d plus half the covariance rate times d d
        blocks.setdefault(block, {})[graph] = 2 * c if block in ("ww", "vv") else c
    drift = {x: series_of(f"d{x}/dt", blocks[x]) for x in "wv" if x in blocks}
    covariance = {x: series_of(f"d<{x[0]},{x[1]}>/dt", blocks[x]) for x in BLOCKS if x in blocks}
    return drift, covariance

r"""The diffusion that an optimiser with memories and gradient noise follows, at leading order.

In the inertial regime (`inertial_optimiser.py`) a step of time h adds `h R_x(g)` to each
unknown x, w or a memory. With noise of covariance `Sigma` in the gradient the mean of that
is the drift, and `h R_x'(g) R_y'(g) Sigma` the rate at which x and y spread together. Noise
is strong: a gradient that counts `h/tau` in a memory spreads it by `h Sigma/tau^2` a unit of
time, which is kept, so that `Sigma` outgrows the square of the mean gradient: a memory of
`g^2` holds the diagonal of `Sigma`, and spreads by less than any other. For Adam

    dw = -m/(sqrt(v) + eps) dt,     dm = (g - m)/tau_1 dt + sqrt(h Sigma)/tau_1 dW,
    dv = (diag Sigma - v)/tau_2 dt,

the equation of Malladi et al., NeurIPS 2022, in other units: with `h = gamma`, their time is
`gamma` times ours, their `c_i = (1 - beta_i)/gamma^2` is `1/(gamma tau_i)`, and their u is v
over the square of the size of the noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import Reals
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated, FrozenMapping
from momentumflow.symbolic import symbols
from momentumflow.symbolic.codegen.compiled import kernel
from momentumflow.symbolic.equations.inertial_optimiser import InertialSystem, h, inertial_system
from momentumflow.symbolic.expressions import Formula, OwnSymbol, SymbolLike
from momentumflow.symbolic.methods.optimisers import Optimiser
from momentumflow.symbolic.printing import as_latex, as_text
from momentumflow.symbolic.series.contraction_series import Fields
from momentumflow.symbolic.series.differential_polynomials import GRADIENT
from momentumflow.symbolic.series.diffusion import Covariance, Diffusion, fields_of
from momentumflow.symbolic.series.right_hand_side import parameter_values

# The covariance of the noise of one gradient; in a drift, its diagonal.
SIGMA = sp.Symbol("Sigma", positive=True)


def under_noise(added: sp.Expr, of: sp.Symbol, variance: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Return the mean of what a step adds to an unknown under strong noise, and its response.

    The response multiplies the noise of the gradient; that of a mean of `g^2` is of higher
    order.

    Raises
    ------
    InputError
        If it is neither linear in the gradient nor a mean of its square.
    """
    slope = sp.simplify(sp.diff(added, GRADIENT))
    if not slope.has(GRADIENT):
        return added, slope
    if not sp.simplify(sp.diff(slope, GRADIENT)).has(GRADIENT) and slope.subs(GRADIENT, 0) == 0:
        return sp.expand(added).subs(GRADIENT**2, variance).subs(GRADIENT, 0), sp.S.Zero
    raise InputError(
        "with noise, memories that are linear in g or means of g**2, and moves linear in g",
        f"{of}, to which a step adds {added}".replace(str(GRADIENT), "g"),
        "ask without noise",
    )


@checked
@dataclass(frozen=True, repr=False)
class OptimiserDiffusion(Formulated):
    """The diffusion of an optimiser's weights and memories, elementwise, at leading order.

    Attributes
    ----------
    system : InertialSystem
        Without noise.
    drift : mapping of symbol to sympy.Expr
        Of w and of each memory, in g, w, the memories and `Sigma`, the variance of the noise
        of that component of the gradient.
    response : mapping of symbol to sympy.Expr
        What multiplies the noise of the gradient: x and y spread together at the rate
        `h response_x response_y Sigma`.
    """

    system: InertialSystem
    drift: Mapping[OwnSymbol, sp.Expr]
    response: Mapping[OwnSymbol, sp.Expr]

    def __post_init__(self) -> None:
        object.__setattr__(self, "drift", FrozenMapping(self.drift))
        object.__setattr__(self, "response", FrozenMapping(self.response))
        wanted = set(self.system.rates)
        for name, given in (("drift", self.drift), ("response", self.response)):
            if set(given) != wanted:
                raise InputError(
                    f"a {name} of each of {', '.join(sorted(map(str, wanted)))}",
                    ", ".join(map(str, given)) or "none",
                )

    @property
    def covariance(self) -> dict[tuple[sp.Symbol, sp.Symbol], sp.Expr]:
        """The factor of `Sigma` in each covariance rate that does not vanish."""
        rates = {
            (x, y): sp.factor(h * self.response[x] * self.response[y])
            for x, y in combinations_with_replacement(self.system.rates, 2)
        }
        return {pair: rate for pair, rate in rates.items() if rate != 0}

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
        covariance : sympy.Expr or matrix
            `Sigma(w)`: of the noise of one gradient; an expression stands for that times the
            unit matrix. For a mean over B samples divide by B.
        variables : sequence of symbols, optional
            In the order of the components; all symbols of the loss, sorted, if not given.

        Returns
        -------
        (drift, rate)
            Of w and the memories joined, in the order of `drift`; the memory m of `x` is
            `m_x`, in the units of `system`.

        Raises
        ------
        InputError
            As `StochasticEquation.written_out`.
        """
        return self._written(fields_of(loss, covariance, variables))

    def _written(self, fields: Fields) -> tuple[sp.Matrix, sp.Matrix]:
        spread = fields.covariance
        held = self.system.unknowns(fields.variables)

        def entries(expression: sp.Expr) -> list[sp.Expr]:
            return [
                expression.subs(
                    {symbols.g: -fields.field[i], SIGMA: spread[i, i]}
                    | {x: components[i] for x, components in held.items()},
                    simultaneous=True,
                )
                for i in range(len(fields.variables))
            ]

        drift = sp.Matrix([entry for x in held for entry in entries(self.drift[x])])
        factors = sp.Matrix.vstack(*(sp.diag(*entries(self.response[x])) for x in held))
        return drift, h * factors * sp.Matrix(spread) * factors.T

    def on_arrays(
        self,
        loss: Formula,
        covariance: Covariance,
        variables: Sequence[SymbolLike] | None = None,
        **parameters: Reals,
    ) -> Diffusion:
        """Return drift, covariance rate and noise for a loss, on float64 arrays.

        The velocity v of the `Diffusion` is here the memories, joined on the last axis.

        Parameters
        ----------
        loss, covariance, variables
            As `written_out` takes them.
        **parameters
            `h` and the times of the memories, or the optimiser's own, and what else it has.

        Raises
        ------
        InputError
            As `written_out`; a parameter that is missing or unknown; rates that depend on
            time, as with bias correction.

        Examples
        --------
        >>> from momentumflow.symbolic import RMSProp, stochastic_equation
        >>> equation = stochastic_equation(RMSProp(), 1)
        >>> flow = equation.on_arrays("x**2/2", 4, gamma=0.01, beta_2=0.9, eps=0)
        >>> flow.drift([1.0], [4.0])
        array([-0.5,  0. ])
        """
        if any(rate.has(symbols.t) for rate in self.drift.values()):
            raise InputError(
                "rates that do not depend on time",
                f"those of {self.system.optimiser.name}, which begins with a transient",
                "derive the equation of optimiser.settled: bias correction dies out",
            )
        fields = fields_of(loss, covariance, variables)
        optimiser, times = self.system.optimiser, self.system.times
        values = parameter_values(
            (h, *self.system.parameters),
            (optimiser.step, *optimiser.parameters),
            {h: times.time_step, **times.parameters},
            parameters,
        )
        held = self.system.unknowns(fields.variables)
        arguments = [*(s for of in held.values() for s in of), *values]
        drift, rate = self._written(fields)
        driven = [self.response[x] != 0 for x in held]
        return Diffusion(
            len(fields.variables),
            len(held) - 1,
            driven.index(True),
            kernel(list(drift), arguments, name="drift"),
            kernel(list(rate), arguments, name="covariance"),
            kernel(list(fields.covariance), arguments, name="gradient_noise"),
            tuple(np.asarray(value, dtype=np.float64) for value in values.values()),
        )

    def _formula(self) -> str:
        rows = [
            rf"\frac{{d{sp.latex(x)}}}{{dt}} &= {as_latex(rate)}" for x, rate in self.drift.items()
        ] + [
            rf"\frac{{d\langle {sp.latex(x)},{sp.latex(y)}\rangle}}{{dt}} &= "
            + as_latex(rate * SIGMA)
            for (x, y), rate in self.covariance.items()
        ]
        return "\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}"

    def __str__(self) -> str:
        times = self.system.times
        lines = [f"{self.system.optimiser.name}, h = {times.time_step}:"]
        lines += [f"  d{x}/dt = {as_text(rate)}" for x, rate in self.drift.items()]
        lines += [
            f"  d<{x},{y}>/dt = {as_text(rate)} Sigma" for (x, y), rate in self.covariance.items()
        ]
        if any(rate.has(SIGMA) for rate in self.drift.values()):
            lines.append("  Sigma in a drift: its diagonal")
        return "\n".join((*lines, *(f"  {tau} = {a}" for tau, a in times.parameters.items())))

    def __repr__(self) -> str:
        return f"<OptimiserDiffusion of {self.system.optimiser.name}, weak order 1>"


def optimiser_diffusion(optimiser: Optimiser) -> OptimiserDiffusion:
    """Return the leading diffusion of an optimiser; see `stochastic_equation`.

    Raises
    ------
    InputError
        As `inertial_system` and `under_noise`; if noise in the gradient moves nothing.
    """
    system = inertial_system(optimiser)
    found = {
        x: under_noise(rate[0].get((), sp.S.Zero), x, SIGMA) for x, rate in system.rates.items()
    }
    if all(response == 0 for _, response in found.values()):
        raise InputError("an optimiser that a gradient moves", str(optimiser))
    return OptimiserDiffusion(
        system,
        *(
            {x: sp.simplify(parts[i]).subs(GRADIENT, symbols.g) for x, parts in found.items()}
            for i in (0, 1)
        ),
    )

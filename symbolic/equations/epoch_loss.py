r"""The loss that minibatches descend on average: an epoch, with and without replacement.

m batches have the losses `F_a`, of mean F; each epoch takes each once, in a fresh random order,
or draws every batch anew. Momentum goes on from epoch to epoch and has settled. Per step the
mean iterate follows `w' = -grad U`, exact to the second power of the step gamma:

    U = (the modified loss of the full batch) + c mean_a |grad F_a - grad F|^2.

The first part is `modified_loss`. For the second let `gamma r_n` be how far a unit gradient has
moved, n steps later, the point at which the gradient is taken, and `gamma r` how far it moves w
in the end: in the words of `markov_generators.py`

    r_n = delta (1 - b^n)/(1 - b) + alpha + ahead delta b^(n-1),     r = delta/(1 - b) + alpha.

The gradient of batch a at a point that batch b has moved differs by `f_a' f_b`, f = -grad F. In
one epoch no batch comes twice, so that the mean over the orders of `f_a' (f_b - f)` is
`-V/(m - 1)`, `V = mean_a f_a' (f_a - f) = grad mean_a |f_a - f|^2/2`; for batches of different
epochs, or drawn with replacement, it is zero. There are m - n pairs n steps apart in an epoch:

    c = gamma^2 r sum_{n<m} (m - n) r_n / (2 m (m - 1)),      with replacement c = 0.

At beta = 0 this is the loss of Smith, Dherin, Barrett, De (ICLR 2021), of one epoch:
`U/gamma = F + gamma/(4 m) sum_a |grad F_a|^2`. What diffuses besides, with replacement, is in
`stochastic_equation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import sympy as sp

from momentumflow.base.arguments import Where, checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.gradient_structure import ModifiedLoss, modified_loss
from momentumflow.symbolic.equations.markov_generators import noisy_step
from momentumflow.symbolic.expressions import Formula, SymbolLike
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.printing import as_latex, as_text, joined
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.series.right_hand_side import check_loss

Batches: TypeAlias = Annotated[int, Where(">= 2", lambda m: 2 <= m <= 10**9)]

_SPREAD = "mean |grad F_a - grad F|^2"
_SPREAD_LATEX = r"\frac{1}{m} \sum_{a=1}^{m} |\nabla F_a - \nabla F|^{2}"


@checked
@dataclass(frozen=True, repr=False)
class EpochLoss(Formulated):
    """U: what the mean iterate descends when the gradients are those of minibatches.

    Attributes
    ----------
    full : ModifiedLoss
        What the full batch descends.
    spread : sympy.Expr
        The factor of `mean_a |grad F_a - grad F|^2`.
    batches : sympy.Expr
        m, a number or a symbol.
    replacement : bool
        Whether batches are drawn anew at each step.
    """

    full: ModifiedLoss
    spread: sp.Expr
    batches: sp.Expr
    replacement: bool

    def specialise(
        self, losses: Sequence[Formula], variables: Sequence[SymbolLike] | None = None
    ) -> sp.Expr:
        """Return U for the losses of the batches, as an expression of the variables.

        Parameters
        ----------
        losses : sequence of sympy.Expr or str
            F_a, one for each batch; F is their mean.
        variables : sequence of symbols, optional
            All symbols of the losses, sorted, if not given.

        Raises
        ------
        InputError
            Another number of losses; a loss that is not smooth, or with other symbols.
        """
        if self.batches != len(losses):
            raise InputError(
                f"the losses of {self.batches} batches",
                f"{len(losses)}",
                "epoch_loss(method, m) is for m batches",
            )
        mean, names = check_loss(sp.Add(*losses) / len(losses), variables)
        each = [check_loss(loss, names)[0] for loss in losses]
        away = [sp.diff(loss - mean, x) ** 2 for loss in each for x in names]
        return self.full.specialise(mean, names) + self.spread * sp.Add(*away) / len(losses)

    def _formula(self) -> str:
        return f"{self.full.latex()}{_added(as_latex(self.spread), _SPREAD_LATEX)}"

    def __str__(self) -> str:
        return f"{self.full}{_added(as_text(self.spread), _SPREAD)}"

    def __repr__(self) -> str:
        drawn = "with" if self.replacement else "without"
        return f"<EpochLoss of {self.batches} batches, {drawn} replacement>"


def _added(factor: str, what: str) -> str:
    return "" if factor == "0" else f" + {joined([(factor, what)])}"


@checked
def epoch_loss(
    method: MomentumMethod, batches: Batches | None = None, *, replacement: bool = False
) -> EpochLoss:
    """Return the loss that a method with minibatches descends on average, to first order.

    Parameters
    ----------
    method : MomentumMethod
        A two-point rule that takes one gradient a step.
    batches : int, optional
        The number m of batches of an epoch, >= 2; a symbol `m` if not given.
    replacement : bool
        Whether each batch is drawn anew, not each once an epoch.

    Returns
    -------
    EpochLoss
        Per step, as `modified_loss`.

    Raises
    ------
    InputError
        A method that is no such rule, or is no gradient flow to second order.

    References
    ----------
    Smith, Dherin, Barrett, De, ICLR 2021, for one epoch of gradient descent; Ghosh, Lyu,
    Zhang, Wang, ICLR 2023, for the full batch.

    Examples
    --------
    >>> from momentumflow.symbolic import GradientDescent, epoch_loss
    >>> print(epoch_loss(GradientDescent(), 10))
    U = gamma F + gamma**2/4 |f|^2 + gamma**2/4 mean |grad F_a - grad F|^2
    """
    chain, full = noisy_step(method), modified_loss(method, 2)
    if full.obstruction is not None:
        raise InputError(
            "a method whose modified equation is a gradient flow to second order", str(full)
        )
    m: sp.Expr = symbols.fresh("m", (method.step, *method.parameters), integer=True, positive=True)
    if batches is not None:
        m = sp.Integer(batches)
    if replacement:
        return EpochLoss(full, sp.S.Zero, m, True)
    b, delta = chain.keep, chain.push
    whole = delta / (1 - b) + chain.direct
    # sums over n < m of m - n, and of (m - n) b^(n-1)
    pairs, kept = m * (m - 1) / 2, (m - 1 - m * b + b**m) / (1 - b) ** 2
    moved = whole * pairs + delta * (chain.ahead - b / (1 - b)) * kept
    spread = method.step**2 * whole * moved / (2 * m * (m - 1))
    return EpochLoss(full, factored(spread) if batches else sp.factor(spread), m, False)

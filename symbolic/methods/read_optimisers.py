"""Optimisers of PyTorch and optax, read exactly into stated ones.

Neither library is imported: an optimiser of PyTorch says what it is by its class and its
`param_groups`, one of optax by its name and arguments. What a stated optimiser cannot say
is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from momentumflow.base.arguments import Finite, Natural, checked, door_of
from momentumflow.base.errors import InputError, nearest
from momentumflow.base.values import FrozenMapping, Value
from momentumflow.symbolic import symbols
from momentumflow.symbolic.expressions import OwnSymbol
from momentumflow.symbolic.methods.optimisers import (
    SGD,
    AdaBelief,
    Adam,
    NAdam,
    Optimiser,
    RMSProp,
    beta_1,
    beta_2,
    decay,
)

_EPS_ROOT = sp.Symbol("eps_root", positive=True)
_WARMING = sp.Symbol("c", positive=True)
_DAMPENING = sp.Symbol("dampening", positive=True)
_NUMBER = door_of(Finite)
_PAIR = door_of(tuple[Any, Any])


@checked
@dataclass(frozen=True, eq=False, repr=False)
class ReadOptimiser(Value):
    """A stated optimiser, and a number for its step and each of its parameters.

    Attributes
    ----------
    optimiser : Optimiser
    values : mapping of sympy.Symbol to float
    names : mapping of str to sympy.Symbol
        What the library calls them: `lr`, `betas[0]`, ...

    Raises
    ------
    InputError
        If a number or a name is missing, or one is of no parameter.
    """

    optimiser: Optimiser
    values: Mapping[OwnSymbol, float]
    names: Mapping[str, OwnSymbol]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", FrozenMapping(self.values))
        object.__setattr__(self, "names", FrozenMapping(self.names))
        wanted = (self.optimiser.step, *self.optimiser.parameters)
        for what, given in (("values", self.values), ("names", self.names.values())):
            if set(given) != set(wanted):
                raise InputError(
                    f"{what} of {', '.join(map(str, wanted))}",
                    ", ".join(map(str, given)) or "none",
                )

    def settings(self, values: Mapping[OwnSymbol, float]) -> dict[str, Any]:
        """Return numbers under the names of the library, a pair such as betas as one."""
        found: dict[str, Any] = {}
        for name, s in self.names.items():
            whole, bracket, place = name.partition("[")
            if s in values and bracket:
                pair = list(found.get(whole, (0.0, 0.0)))
                pair[int(place[0])] = values[s]
                found[whole] = tuple(pair)
            elif s in values:
                found[name] = values[s]
        return found


class _Settings:
    """Hyperparameters by name: those that are zero leave the formula, others become symbols."""

    def __init__(self, given: Mapping[str, Any], defaults: Mapping[str, Any], what: str) -> None:
        self.all = {**defaults, **given}
        self.what = what
        self.values: dict[sp.Symbol, float] = {}
        self.names: dict[str, sp.Symbol] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.all:
            raise InputError(f"{self.what} with a setting {name}", f"{', '.join(self.all)}")
        return self.all[name]

    def number(self, name: str, symbol: sp.Symbol, value: Any = None) -> sp.Expr:
        """Return the symbol of a hyperparameter, or 0 if it is none."""
        given = self.all.get(name) if value is None else value
        if given is None:
            return sp.S.Zero
        if callable(given):
            raise InputError(f"{name} of {self.what} as a number", "a schedule")
        found = _NUMBER(f"{name} of {self.what}", given)
        if found == 0:
            return sp.S.Zero
        self.values[symbol], self.names[name] = found, symbol
        return symbol

    def stated(self, optimiser: Optimiser, rate: str) -> ReadOptimiser:
        """Return an optimiser with the values found and the learning rate, which may be 0."""
        self.values[optimiser.step] = 0.0
        self.number(rate, optimiser.step)
        return ReadOptimiser(optimiser, self.values, {rate: optimiser.step} | self.names)

    def refuse(self, **reasons: str) -> None:
        """Refuse settings that are switched on, with the reason."""
        for name, reason in reasons.items():
            if self.all.get(name):
                raise InputError(
                    f"{self.what} without {name}", f"{name} = {self.all[name]}", reason
                )


@checked
def from_torch(optimizer: Any, group: Natural = 0) -> ReadOptimiser:
    """Read an optimiser of PyTorch.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        SGD, Adam, AdamW, NAdam or RMSprop.
    group : int
        Which of its parameter groups.

    Returns
    -------
    ReadOptimiser
        The stated optimiser and the values of its step and parameters.

    Raises
    ------
    InputError
        If it is another one, or has a setting that no elementwise memory can state
        (`amsgrad`, which keeps a maximum; `maximize`, which changes the sign).
    """
    kind = type(optimizer).__name__
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, list) or kind not in _TORCH:
        raise InputError(f"an optimiser of PyTorch among {', '.join(_TORCH)}", kind)
    if group >= len(groups):
        raise InputError(f"a group below {len(groups)}", f"group = {group}")
    return _of_torch(kind, {k: v for k, v in groups[group].items() if k != "params"})


def read_settings(name: str, given: Mapping[str, Any]) -> ReadOptimiser:
    """Read an optimiser of PyTorch by its name and settings, without an object of it.

    Parameters
    ----------
    name : str
        adam, adamw, nadam, rmsprop or sgd.
    given : mapping
        As a parameter group holds them, `lr` among them; those left out are PyTorch's
        own defaults.

    Raises
    ------
    InputError
        For another name, no `lr`, or a setting that is unknown or cannot be stated.
    """
    kinds = {kind.lower(): kind for kind in _TORCH}
    if name.lower() not in kinds:
        known = tuple(sorted(kinds))
        raise InputError(
            f"an optimiser among {', '.join(known)}", repr(name), nearest(name.lower(), known)
        )
    kind = kinds[name.lower()]
    defaults = _TORCH_DEFAULTS[kind]
    unknown = set(given) - set(defaults) - _TORCH_SWITCHES - {"lr"}
    if unknown:
        raise InputError(
            f"settings of {name} among lr, {', '.join(defaults)}", ", ".join(sorted(unknown))
        )
    if "lr" not in given:
        raise InputError("a learning rate lr", "none")
    return _of_torch(kind, {**defaults, **given})


def _of_torch(kind: str, given: Mapping[str, Any]) -> ReadOptimiser:
    settings = _Settings(given, {}, kind)
    settings.refuse(
        amsgrad="amsgrad keeps a maximum, which is not smooth and does not forget",
        maximize="negate the gradient instead",
    )
    return settings.stated(_TORCH[kind](settings), "lr")


def _betas(s: _Settings) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    first, second = _PAIR(f"betas of {s.what}", s["betas"])
    return (
        s.number("betas[0]", beta_1, first),
        s.number("betas[1]", beta_2, second),
        s.number("eps", symbols.eps),
    )


def _torch_adam(s: _Settings) -> Optimiser:
    coupled = not s.all.get("decoupled_weight_decay", s.what == "AdamW")
    return Adam(*_betas(s), decay=s.number("weight_decay", decay), coupled=coupled)


def _torch_nadam(s: _Settings) -> Optimiser:
    c = 0.96 ** _NUMBER("momentum_decay of NAdam", s["momentum_decay"])
    return NAdam(
        *_betas(s),
        warming=1 if c == 1 else s.number("momentum_decay", _WARMING, c),
        decay=s.number("weight_decay", decay),
        coupled=not s.all.get("decoupled_weight_decay", False),
    )


def _torch_rmsprop(s: _Settings) -> Optimiser:
    return RMSProp(
        s.number("alpha", beta_2),
        s.number("eps", symbols.eps),
        s.number("momentum", symbols.beta),
        centred=bool(s["centered"]),
        decay=s.number("weight_decay", decay),
    )


def _torch_sgd(s: _Settings) -> Optimiser:
    return SGD(
        s.number("momentum", symbols.beta),
        s.number("dampening", _DAMPENING) if s["momentum"] else 0,
        s.number("weight_decay", decay),
        nesterov=bool(s["nesterov"]),
    )


_ADAMS = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}
_TORCH_DEFAULTS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False},
    "Adam": _ADAMS,
    "AdamW": _ADAMS | {"weight_decay": 1e-2},
    "NAdam": _ADAMS | {"momentum_decay": 4e-3},
    "RMSprop": {"alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0, "centered": False},
}
# What a parameter group holds besides hyperparameters.
_TORCH_SWITCHES = frozenset(
    ("params", "foreach", "capturable", "differentiable", "fused", "initial_lr", "amsgrad",
     "maximize", "decoupled_weight_decay")
)  # fmt: skip
_TORCH: dict[str, Callable[[_Settings], Optimiser]] = {
    "SGD": _torch_sgd,
    "Adam": _torch_adam,
    "AdamW": _torch_adam,
    "NAdam": _torch_nadam,
    "RMSprop": _torch_rmsprop,
}


@checked
def from_optax(name: str, hyperparameters: Mapping[str, Any]) -> ReadOptimiser:
    """Read an optimiser of optax.

    Parameters
    ----------
    name : str
        sgd, adam, adamw, nadam, nadamw, rmsprop or adabelief.
    hyperparameters : mapping
        The arguments of `optax.NAME`, `learning_rate` among them; those left out are
        optax's own defaults.

    Returns
    -------
    ReadOptimiser

    Raises
    ------
    InputError
        For another name, an argument that is unknown or cannot be stated.
    """
    if name not in _OPTAX:
        known = tuple(_OPTAX)
        smooth = "its sign is not smooth: take symbolic.Lion(), with a width delta"
        remedy = smooth if name in ("lion", "sign_sgd", "signum") else nearest(name, known)
        raise InputError(f"an optimiser of optax among {', '.join(known)}", repr(name), remedy)
    make, defaults = _OPTAX[name]
    unknown = set(hyperparameters) - set(defaults) - {"learning_rate"}
    if unknown:
        raise InputError(
            f"arguments among learning_rate, {', '.join(defaults)}", ", ".join(sorted(unknown))
        )
    if "learning_rate" not in hyperparameters:
        raise InputError("a learning_rate", "none")
    s = _Settings(hyperparameters, defaults, name)
    s.refuse(
        mask="decay that some weights have is one optimiser for each",
        mu_dtype="memories are kept in the precision of the weights",
        accumulator_dtype="memories are kept in the precision of the weights",
        bias_correction="state it by Optimiser.parse, with v/(1 - b2**k)",
    )
    return s.stated(make(s), "learning_rate")


def _optax_betas(s: _Settings) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    return s.number("b1", beta_1), s.number("b2", beta_2), s.number("eps", symbols.eps)


def _optax_adam(s: _Settings) -> Optimiser:
    decoupled = s.number("weight_decay", decay)
    root = s.number("eps_root", _EPS_ROOT)
    if s["nesterov"]:
        s.refuse(eps_root="state it by Optimiser.parse")
        return NAdam(*_optax_betas(s), decay=decoupled, coupled=False)
    return Adam(*_optax_betas(s), decay=decoupled, eps_root=root)


def _optax_adabelief(s: _Settings) -> Optimiser:
    s.refuse(nesterov="state it by Optimiser.parse")
    return AdaBelief(*_optax_betas(s), eps_root=s.number("eps_root", _EPS_ROOT))


def _optax_sgd(s: _Settings) -> Optimiser:
    return SGD(s.number("momentum", symbols.beta), nesterov=bool(s["nesterov"]))


def _optax_rmsprop(s: _Settings) -> Optimiser:
    s.refuse(initial_scale="give run_optimiser the memory v to start from")
    return RMSProp(
        s.number("decay", beta_2),
        s.number("eps", symbols.eps),
        s.number("momentum", symbols.beta),
        centred=bool(s["centered"]),
        placement="inside" if s["eps_in_sqrt"] else "outside",
        nesterov=bool(s["nesterov"]),
    )


_ADAM = {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "eps_root": 0.0, "mu_dtype": None}
_DECAYED = _ADAM | {"weight_decay": 1e-4, "mask": None}
_OPTAX: dict[str, tuple[Callable[[_Settings], Optimiser], dict[str, Any]]] = {
    "sgd": (_optax_sgd, {"momentum": None, "nesterov": False, "accumulator_dtype": None}),
    "adam": (_optax_adam, _ADAM | {"nesterov": False}),
    "adamw": (_optax_adam, _DECAYED | {"nesterov": False}),
    "nadam": (_optax_adam, _ADAM | {"nesterov": True}),
    "nadamw": (_optax_adam, _DECAYED | {"nesterov": True}),
    "rmsprop": (
        _optax_rmsprop,
        {
            "decay": 0.9, "eps": 1e-8, "initial_scale": 0.0, "eps_in_sqrt": True,
            "centered": False, "momentum": None, "nesterov": False, "bias_correction": False,
        },
    ),
    "adabelief": (
        _optax_adabelief,
        {"b1": 0.9, "b2": 0.999, "eps": 1e-16, "eps_root": 1e-16, "nesterov": False},
    ),
}  # fmt: skip

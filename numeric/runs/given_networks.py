"""The network that a user gives a run: a name, a map as text, or a SeparableNetwork."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union

from momentumflow.base.arguments import Door, Unfit
from momentumflow.numeric.runs.networks import TWO_LAYERS, Network

if TYPE_CHECKING:
    from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork


def _take(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork

    if not isinstance(value, SeparableNetwork):
        raise Unfit
    return value


NetworkLike: TypeAlias = Annotated[
    Union[str, "SeparableNetwork", None],
    Door("a map such as 'u**3 - v**3', or a SeparableNetwork", _take),
]


def network_of(given: Any) -> Network:
    """Return the network that a map is: None for two layers, text or a SeparableNetwork.

    Raises
    ------
    InputError
        If it is not a smooth separable map.
    """
    if given in (None, "diagonal", "u*v"):
        return TWO_LAYERS
    from momentumflow.numeric.runs.straightened_networks import straightened_network

    return straightened_network(given)

"""Local operations between matrices: GELU, its gated form, soft-capping and scaling.

A hyperbolic tangent counts as an exponential and a reciprocal (1 − 2 / (1 + e²ˣ)) with what is around them.
"""

from collections.abc import Callable
from functools import reduce
from math import pi, sqrt
from typing import Any

from wse_emu.program.layout import Layout
from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, Work, like
from wse_emu.program.value import Value

TANH = ("special", "special", "add", "add")
Function = Callable[[Any, Any], Any]
"""(array library, x) -> its activation."""


def _work(units: tuple[str, ...]) -> Any:
    return lambda _v, outputs, _a, _s: tuple(Work(unit, outputs[0].block_elements) for unit in units)


# GELU (Hendrycks and Gimpel, arXiv 1606.08415): x · Φ(x)


def _gelu_tanh(xp: Any, x: Any) -> Any:
    """0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))), section 2 of the paper."""
    return 0.5 * x * (1 + xp.tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)))


_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
_ERF_P = 0.3275911


def _gelu(xp: Any, x: Any) -> Any:
    """With the error function of Abramowitz and Stegun, 7.1.26, whose error is below 1.5e-7: what a PE can compute."""
    z = xp.abs(x) * sqrt(0.5)
    t = 1 / (1 + _ERF_P * z)
    polynomial = reduce(lambda total, factor: (total + factor) * t, reversed(_ERF), xp.zeros_like(t))
    tail = 0.5 * polynomial * xp.exp(-z * z)  # Φ(−|x|)
    return x * xp.where(x < 0, tail, 1 - tail)


_GELUS: dict[str, tuple[Function, tuple[str, ...]]] = {
    "gelu": (_gelu, ("fma",) * 6 + ("special", "special") + ("add",) * 5),
    "gelu_tanh": (_gelu_tanh, ("add", "add", "fma", "add", *TANH, "add")),
}


def _plain(name: str, function: Function, units: tuple[str, ...]) -> None:
    OPS[name] = Op(lambda values, _a: (like(values[0]),), _work(units), lambda m, _a, x: (function(m.xp, x),))


def _gated(name: str, function: Function, units: tuple[str, ...]) -> None:
    """Gate and up projections stacked in the first dimension: activation(gate) · up."""

    def results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
        (both,) = values
        return (like(both, shape=both.shape[1:], layout=Layout(both.layout.dims[1:], both.layout.inner)),)

    def compute(moment: Moment, _attributes: Attributes, both: Any) -> tuple[Any, ...]:
        return (function(moment.xp, both[:, :, :, 0, ...]) * both[:, :, :, 1, ...],)

    OPS[name] = Op(results, _work((*units, "add")), compute)


for _name, _form in _GELUS.items():
    _plain(_name, *_form)
    _gated(_name.replace("gelu", "geglu"), *_form)


# Soft-capping (Gemma 2, arXiv 2408.00118): cap · tanh(x / cap); of scores only the slots in use are worked on


def _capped_work(
    values: tuple[Value, ...], _outputs: tuple[Value, ...], _attributes: Attributes, slots: int
) -> tuple[Work, ...]:
    (x,) = values
    elements = x.block_elements // x.block[0] * slots if x.slotted else x.block_elements
    return tuple(Work(unit, elements) for unit in (*TANH, "add", "add"))


OPS["soft_cap"] = Op(
    lambda values, _a: (like(values[0]),),
    _capped_work,
    lambda moment, attributes, x: (moment.xp.tanh(x / attributes["cap"]) * attributes["cap"],),
)

OPS["scale"] = Op(
    lambda values, _a: (like(values[0]),),
    _work(("add",)),
    lambda _m, attributes, x: (x * attributes["factor"],),
)

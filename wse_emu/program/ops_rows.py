"""Local operations on the last dimensions of a block: what softmax and gates are made of."""

from typing import Any

from wse_emu.program.layout import Layout
from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, Work, like
from wse_emu.program.value import Value


def _kept_results(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    """The last ``dims`` dimensions become 1, still partial along the axes that they lay on, as ``dtype`` if given."""
    (x,) = values
    kept = len(x.shape) - attributes["dims"]
    over = Layout(x.layout.dims[kept:], x.layout.inner).axes()
    layout = Layout(x.layout.dims[:kept] + (None,) * attributes["dims"], x.layout.inner)
    dtype = attributes.get("dtype", x.dtype)
    return (Result(x.shape[:kept] + (1,) * attributes["dims"], layout, x.partial | over, dtype),)


def _work(unit: str) -> Any:
    return lambda values, _o, _a, _s: (Work(unit, values[0].block_elements),)


def _over_last(name: str, unit: str, function: Any) -> None:
    def compute(moment: Moment, attributes: Attributes, x: Any) -> tuple[Any, ...]:
        return (function(moment.xp, x, tuple(range(x.ndim - attributes["dims"], x.ndim))),)

    OPS[name] = Op(_kept_results, _work(unit), compute)


_over_last("sum_of_squares", "fma", lambda xp, x, axes: xp.sum(x * x, axis=axes, keepdims=True))
_over_last("sum", "add", lambda xp, x, axes: xp.sum(x, axis=axes, keepdims=True))
_over_last("max", "add", lambda xp, x, axes: xp.max(x, axis=axes, keepdims=True))

OPS["exp_minus"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, _o, _a, _s: tuple(Work(unit, values[0].block_elements) for unit in ("add", "special")),
    lambda moment, _a, x, best: (moment.xp.exp(x - best),),
)

OPS["silu"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, _o, _a, _s: tuple(Work(unit, values[0].block_elements) for unit in ("special", "special", "add")),
    lambda moment, _a, x: (x / (1 + moment.xp.exp(-x)),),
)


# LayerNorm: shifting and scaling by the sums of x and x² over all PEs


def _layer_scale(moment: Moment, attributes: Attributes, x: Any, *others: Any) -> tuple[Any, ...]:
    total, squares, weight, bias = others
    xp, size = moment.xp, attributes["size"]
    mean = total / size
    variance = squares / size - mean * mean
    variance = xp.where(variance < 0, xp.zeros_like(variance), variance)  # rounding, where all x are nearly equal
    return ((x - mean) / xp.sqrt(variance + attributes["epsilon"]) * weight + bias,)


OPS["layer_scale"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, outputs, _a, _s: (
        Work("add", 3 * values[1].block_elements),
        Work("special", 2 * values[1].block_elements),
        Work("add", outputs[0].block_elements),
        Work("add", outputs[0].block_elements),
        Work("fma", outputs[0].block_elements),
    ),
    _layer_scale,
)

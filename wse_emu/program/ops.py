"""What a PE can compute on its own blocks. One entry an operation: its result, its work, and its arithmetic.

Arrays are blocks ``[rows, outer columns, inner columns, *block]`` of any array-API library, 1 along an axis where all
PEs hold equal copies. A new operation is one entry here and touches no engine.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from wse_emu.program.layout import Layout
from wse_emu.program.precision import QUANTISED
from wse_emu.program.value import Value

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What an operation yields: a tensor of ``shape`` that lies as ``layout``, still ``partial`` along some axes."""

    shape: tuple[int, ...]
    layout: Layout
    partial: frozenset[str]
    dtype: str
    slotted: bool = False


@dataclass(frozen=True)
class Work:
    """Vector instructions on a PE: ``elements`` at the rate of ``unit`` ("fma", "add", "copy", "special").

    Or so many activations of a "task", or set-ups of a "stream" or of a "vector" instruction.

    ``rows`` > 0: they lie in so many rows of a block, and each begins anew. ``rounds`` > 0: a software loop issues so
    many instructions, which share the elements.
    """

    unit: str
    elements: int
    rows: int = 0
    rounds: int = 0


class Moment(Protocol):
    """What an operation may know of the token at hand."""

    xp: Any
    position: Any
    """Index of the token in its sequence; a traced scalar under a jit."""
    slots: int
    """KV-cache slots per PE in use, position // rows + 1."""

    def products(self, x: Any, w: Any) -> Any:
        """``x @ w`` of every line of PEs: x ``[lines, 1, m]``, w ``[lines, m, n]`` -> ``[lines, 1, n]``."""

    def pick(self, stack: Any, index: Any) -> Any:
        """``stack[index]``, of an index that may be traced."""

    def put(self, state: Any, row: Any, slot: Any, new: Any) -> Any:
        """``state`` with ``state[row, :, :, slot] = new``, in place where the library allows it."""

    def rows_in_use(self, rows: int) -> int:
        """How many of the ``rows`` may hold positions so far; all of them where shapes must not change."""


@dataclass(frozen=True)
class Op:
    """``results`` from the inputs, ``work`` per PE (inputs, outputs, attributes, slots), ``compute`` on arrays.

    ``exact``: every number that it yields is one of those that it got, so 16-bit arrays need not be widened for it.
    """

    results: Callable[[tuple[Value, ...], Attributes], tuple[Result, ...]]
    work: Callable[[tuple[Value, ...], tuple[Value, ...], Attributes, int], tuple[Work, ...]]
    compute: Callable[..., tuple[Any, ...]]
    exact: bool = False


OPS: dict[str, Op] = {}


def _without_first(layout: Layout) -> Layout:
    return Layout(layout.dims[1:], layout.inner)


def like(value: Value, **changes: Any) -> Result:
    same = Result(value.shape, value.layout, value.partial, value.dtype, value.slotted)
    return replace(same, **changes)


def dequantising(matrix: Value, elements: int, rows: int = 0) -> tuple[Work, ...]:
    """What a PE does to ``elements`` of a quantised ``matrix`` first: integers become floats, which are scaled.

    An estimate: nobody has published such a kernel.
    """
    if matrix.dtype not in QUANTISED:
        return ()
    return (Work("copy", elements, rows=rows), Work("add", elements, rows=rows))


# gemv: w has shape (*out, *in) and is stored as (extent of in, in block, out columns); x has shape in.


def _gemv_results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
    w, x = values
    outs = len(w.shape) - len(x.shape)
    partial = Layout(w.layout.dims[outs:], w.layout.inner).axes()
    return (Result(w.shape[:outs], Layout(w.layout.dims[:outs], w.layout.inner), partial, x.dtype),)


def _gemv_work(
    values: tuple[Value, ...], _outputs: tuple[Value, ...], _attributes: Attributes, _slots: int
) -> tuple[Work, ...]:
    w, x = values
    return (*dequantising(w, w.block_elements, x.block_elements), Work("fma", w.block_elements, rows=x.block_elements))


def _gemv(moment: Moment, attributes: Attributes, w: Any, x: Any) -> tuple[Any, ...]:
    xp = moment.xp
    outs = attributes["out_grid"]
    lines = xp.reshape(x, (w.shape[0], 1, w.shape[1]))
    partial = xp.reshape(moment.products(lines, w), (w.shape[0], *outs, *attributes["out_block"]))
    if attributes["axis"] == "y":
        return (partial[:, 0, ...],)
    return (xp.permute_dims(partial[:, :, 0, 0, ...], (1, 0, *range(2, partial.ndim - 2)))[:, :, None, ...],)


OPS["gemv"] = Op(_gemv_results, _gemv_work, _gemv)


# What a program spends between its instructions: ``task``, ``stream`` and ``vector`` count them

OPS["control"] = Op(
    lambda _v, _a: (),
    lambda _v, _o, attributes, _s: tuple(Work(unit, count) for unit, count in attributes.items()),
    lambda _m, _a: (),
)


# Elementwise


def _elementwise(name: str, units: tuple[str, ...], function: Callable[..., Any]) -> None:
    def results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
        partial = frozenset[str]().union(*(value.partial for value in values))
        return (like(values[0], partial=partial),)

    def work(
        _values: tuple[Value, ...], outputs: tuple[Value, ...], _attributes: Attributes, _slots: int
    ) -> tuple[Work, ...]:
        return tuple(Work(unit, outputs[0].block_elements) for unit in units)

    def compute(moment: Moment, _attributes: Attributes, *arrays: Any) -> tuple[Any, ...]:
        return (function(moment.xp, *arrays),)

    OPS[name] = Op(results, work, compute)


_elementwise("add", ("add",), lambda _xp, a, b: a + b)
_elementwise("mul", ("add",), lambda _xp, a, b: a * b)


# SwiGLU: gate and up projections stacked in the first dimension


def _swiglu(moment: Moment, _attributes: Attributes, both: Any) -> tuple[Any, ...]:
    gate, up = both[:, :, :, 0, ...], both[:, :, :, 1, ...]
    return (gate / (1 + moment.xp.exp(-gate)) * up,)


OPS["swiglu"] = Op(
    lambda values, _a: (like(values[0], shape=values[0].shape[1:], layout=_without_first(values[0].layout)),),
    lambda _v, outputs, _a, _s: tuple(
        Work(unit, outputs[0].block_elements) for unit in ("special", "special", "add", "add")
    ),
    _swiglu,
)


# Part of the second dimension: addressing only, no work


def _take_results(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    (x,) = values
    return (like(x, shape=(x.shape[0], attributes["stop"] - attributes["start"], *x.shape[2:])),)


OPS["take"] = Op(
    _take_results,
    lambda _v, _o, _a, _s: (),
    lambda _m, attributes, x: (x[:, :, :, :, attributes["start"] : attributes["stop"], ...],),
    exact=True,
)


# RMS norm: scaling by the sum of squares over all PEs


def _rms_scale(moment: Moment, attributes: Attributes, x: Any, squares: Any, weight: Any) -> tuple[Any, ...]:
    inverse = 1 / moment.xp.sqrt(squares / attributes["size"] + attributes["epsilon"])
    weight = moment.xp.reshape(weight, weight.shape[:3] + (1,) * (x.ndim - weight.ndim) + weight.shape[3:])
    return (x * inverse * weight,)


OPS["rms_scale"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, outputs, _a, _s: (
        Work("special", 2 * values[1].block_elements),
        Work("add", outputs[0].block_elements),
        Work("add", outputs[0].block_elements),
    ),
    _rms_scale,
)


# Rotary embedding (Su et al., arXiv 2104.09864); pair dimension last ("adjacent") or one before the last ("half")


def _angles(moment: Moment, attributes: Attributes, frequencies: Any) -> tuple[Any, ...]:
    angle = frequencies * moment.xp.asarray(moment.position, dtype=frequencies.dtype)
    magnitude = attributes.get("magnitude", 1.0)
    return moment.xp.cos(angle) * magnitude, moment.xp.sin(angle) * magnitude


def _angles_work(
    _values: tuple[Value, ...], outputs: tuple[Value, ...], attributes: Attributes, _slots: int
) -> tuple[Work, ...]:
    units = ("special", "add") if "magnitude" in attributes else ("special",)
    return tuple(Work(unit, outputs[0].block_elements) for unit in units) * 2


OPS["angles"] = Op(lambda values, attributes: (like(values[0], dtype=attributes["dtype"]),) * 2, _angles_work, _angles)


def _rope(moment: Moment, attributes: Attributes, x: Any, cos: Any, sin: Any) -> tuple[Any, ...]:
    xp, axis = moment.xp, attributes["pair_axis"]
    a, b = (x[..., 0, :], x[..., 1, :]) if axis == -2 else (x[..., 0], x[..., 1])
    shape = cos.shape[:3] + (1,) * (a.ndim - cos.ndim) + cos.shape[3:]
    cos, sin = xp.reshape(cos, shape), xp.reshape(sin, shape)
    return (xp.stack([a * cos - b * sin, b * cos + a * sin], axis=axis),)


OPS["rope"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda _v, outputs, _a, _s: (Work("add", outputs[0].block_elements), Work("fma", outputs[0].block_elements)),
    _rope,
)

"""Local operations on tokens: their positions, table lookup and the best of a PE's logits."""

from typing import Any

from wse_emu.program.layout import Layout
from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, Work, dequantising
from wse_emu.program.value import Value


def _lookup_results(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    table, _token = values
    return (Result(table.shape[1:], Layout(table.layout.dims[1:]), frozenset({"x"}), attributes["dtype"]),)


def _lookup(moment: Moment, attributes: Attributes, table: Any, token: Any) -> tuple[Any, ...]:
    """The column of PEs that owns the token's row gives it, all others give zeros.

    With ``columns`` there is a block for each column of the region, as sums with others' blocks need.
    """
    xp, block = moment.xp, attributes["block"]
    index = xp.reshape(token, (1,))
    columns = attributes.get("columns", table.shape[2] // block)
    owner = xp.reshape(xp.arange(columns), (1, -1, 1, 1)) == index // block
    row = xp.reshape(xp.take(table, index, axis=2), (table.shape[0], 1, 1, table.shape[1]))
    return (xp.where(owner, row, xp.zeros_like(row)),)


def _lookup_work(
    values: tuple[Value, ...], outputs: tuple[Value, ...], _attributes: Attributes, _slots: int
) -> tuple[Work, ...]:
    elements = outputs[0].block_elements
    return (*dequantising(values[0], elements), Work("copy", elements))


OPS["lookup"] = Op(_lookup_results, _lookup_work, _lookup, exact=True)


# The index of the token at hand, which every PE counts

OPS["position"] = Op(
    lambda _v, _a: (Result((1,), Layout((None,)), frozenset(), "int32"),),
    lambda _v, _o, _a, _s: (Work("add", 1),),
    lambda moment, _a: (moment.xp.reshape(moment.xp.asarray(moment.position, dtype=moment.xp.int32), (1, 1, 1, 1)),),
)


def _argmax_results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
    (logits,) = values
    scalar = Layout((None,))
    return (
        Result((1,), scalar, logits.layout.axes(), logits.dtype),
        Result((1,), scalar, logits.layout.axes(), "int32"),
    )


def _argmax(moment: Moment, attributes: Attributes, logits: Any) -> tuple[Any, ...]:
    """Best logit of each column of PEs and its token; padding never wins, the lowest token wins a tie."""
    xp = moment.xp
    cols, block = logits.shape[1], logits.shape[3]
    token = xp.reshape(xp.arange(cols * block, dtype=xp.int32), logits.shape)
    logits = xp.where(token < attributes["vocabulary"], logits, xp.asarray(-xp.inf, dtype=logits.dtype))
    best = xp.argmax(logits, axis=3, keepdims=True)
    first = xp.reshape(xp.arange(cols, dtype=xp.int32), (1, cols, 1, 1)) * block
    return xp.max(logits, axis=3, keepdims=True), xp.astype(best, xp.int32) + first


OPS["argmax"] = Op(
    _argmax_results, lambda values, _o, _a, _s: (Work("add", values[0].block_elements),), _argmax, exact=True
)

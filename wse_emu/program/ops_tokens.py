"""Local operations on tokens: table lookup and the best of a PE's logits."""

from typing import Any

from wse_emu.program.layout import Layout
from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, Work
from wse_emu.program.value import Value


def _lookup_results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
    table, _token = values
    return (Result(table.shape[1:], Layout(table.layout.dims[1:]), frozenset({"x"}), table.dtype),)


def _lookup(moment: Moment, attributes: Attributes, table: Any, token: Any) -> tuple[Any, ...]:
    """The column of PEs that owns the token's row gives it, all others give zeros."""
    xp, cols, rows = moment.xp, attributes["cols"], attributes["rows"]
    index = token[0, 0, 0]
    owner = xp.reshape(xp.arange(cols), (1, cols, 1)) == index // attributes["block"]
    row = xp.reshape(xp.take(table, xp.reshape(index, (1,)), axis=2), (table.shape[0], 1, table.shape[1]))
    if table.shape[0] < rows:
        row = xp.concat([row, xp.zeros((rows - table.shape[0], 1, table.shape[1]), dtype=row.dtype)], axis=0)
    return (xp.where(owner, row, xp.zeros_like(row)),)


OPS["lookup"] = Op(_lookup_results, lambda _v, outputs, _a, _s: (Work("copy", outputs[0].block_elements),), _lookup)


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
    cols, block = logits.shape[1], logits.shape[2]
    token = xp.reshape(xp.arange(cols * block, dtype=xp.int32), (1, cols, block))
    logits = xp.where(token < attributes["vocabulary"], logits, xp.asarray(-xp.inf, dtype=logits.dtype))
    best = xp.argmax(logits, axis=2, keepdims=True)
    first = xp.reshape(xp.arange(cols, dtype=xp.int32), (1, cols, 1)) * block
    return xp.max(logits, axis=2, keepdims=True), xp.astype(best, xp.int32) + first


OPS["argmax"] = Op(
    _argmax_results, lambda values, _o, _a, _s: (Work("add", values[0].block_elements),), _argmax
)

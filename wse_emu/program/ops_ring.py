"""Local operations of a vector that goes around a ring in blocks: cut it up, and put it together again.

Block j of a PE is counted from its own place on the ring backwards, so that in every step all PEs work on the block of
the same number. Addressing only: no work.
"""

from typing import Any

from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, like
from wse_emu.program.value import Value


def _blocks_results(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    (x,) = values
    count = len(attributes["places"])
    return (like(x, shape=(*x.shape[:-1], -(-x.shape[-1] // count))),) * count


def _blocks(moment: Moment, attributes: Attributes, x: Any) -> tuple[Any, ...]:
    """PE at place p of the ring: its blocks p, p − 1, … of the last dimension, one an output."""
    xp, places, axis = moment.xp, attributes["places"], attributes["axis"] != "y"
    count, size = len(places), -(-x.shape[-1] // len(places))
    x = xp.moveaxis(x, int(axis), 0)
    x = _filled(xp, _filled(xp, x, 0, count), x.ndim - 1, count * size)
    x = xp.reshape(x, (*x.shape[:-1], count, size))
    return tuple(
        xp.moveaxis(xp.stack([x[pe, ..., (place - j) % count, :] for pe, place in enumerate(places)]), 0, int(axis))
        for j in range(count)
    )


def _filled(xp: Any, array: Any, axis: int, size: int) -> Any:
    missing = size - array.shape[axis]
    if not missing:
        return array
    shape = (*array.shape[:axis], missing, *array.shape[axis + 1 :])
    return xp.concat([array, xp.zeros(shape, dtype=array.dtype)], axis=axis)


OPS["ring_blocks"] = Op(_blocks_results, lambda _v, _o, _a, _s: (), _blocks)


def _join_results(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    first = values[0]
    return (like(first, shape=(*first.shape[:-1], attributes["size"]), partial=first.partial - {attributes["axis"]}),)


def _join(moment: Moment, attributes: Attributes, *blocks: Any) -> tuple[Any, ...]:
    """The inverse: block j of every PE back at its place. One PE's is all there is where all hold the same."""
    xp, places, axis = moment.xp, attributes["places"], attributes["axis"] != "y"
    count = len(places)
    lines = [xp.moveaxis(block, int(axis), 0) for block in blocks]
    kept = places if attributes["each"] else places[:1]
    whole = xp.stack(
        [
            xp.concat([lines[(place - part) % count][pe, ...] for part in range(count)], axis=-1)
            for pe, place in enumerate(kept)
        ]
    )
    return (xp.moveaxis(whole[..., : attributes["size"]], 0, int(axis)),)


OPS["ring_join"] = Op(_join_results, lambda _v, _o, _a, _s: (), _join)

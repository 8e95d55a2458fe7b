"""Local operations on a chunk of a prompt: tiles of tokens × features, one a PE.

Rows of PEs hold the tokens in the order of their ring places: the row at place i has tokens i·m to (i+1)·m − 1. Of
scores, the PE at places i and j holds the keys of part (i + j) mod P. Blocks are ``(1, 1, …, m, n)``.
"""

from typing import Any

from wse_emu.program.layout import Layout
from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, Work, like
from wse_emu.program.ops_gemm import ring_places
from wse_emu.program.value import Value


def _tokens(xp: Any, blocks: Any, count: int) -> Any:
    """Index of each token of some ``blocks`` of ``count``, ``blocks.shape + (count,)``."""
    return blocks[..., None] * count + xp.arange(count)


# Cos and sin of position · frequency for every token of a PE


def _token_angles(moment: Moment, attributes: Attributes, frequencies: Any) -> tuple[Any, ...]:
    xp, edge, count = moment.xp, attributes["edge"], attributes["tokens"]
    position = xp.astype(_tokens(xp, ring_places(xp, edge), count), frequencies.dtype)
    angle = frequencies * xp.reshape(position, (edge, *(1,) * (frequencies.ndim - 3), count, 1))
    magnitude = attributes["magnitude"]
    return xp.cos(angle) * magnitude, xp.sin(angle) * magnitude


def _token_angles_results(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    (x,), edge, count = values, attributes["edge"], attributes["tokens"]
    shape = (edge, *x.shape[1:-2], count, x.shape[-1])
    layout = Layout(("y", *x.layout.dims[1:]), x.layout.inner)
    return (like(x, shape=shape, layout=layout, dtype=attributes["dtype"]),) * 2


OPS["token_angles"] = Op(
    _token_angles_results,
    lambda _v, outputs, _a, _s: tuple(Work(unit, outputs[0].block_elements) for unit in ("add", "special", "special")),
    _token_angles,
)


# Rotation of tiles whose columns are the first members of pairs, then the second ones


def _rope_tile(moment: Moment, _attributes: Attributes, x: Any, cos: Any, sin: Any) -> tuple[Any, ...]:
    xp, half = moment.xp, x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return (xp.concat([a * cos - b * sin, b * cos + a * sin], axis=-1),)


OPS["rope_tile"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda _v, outputs, _a, _s: (Work("add", outputs[0].block_elements), Work("fma", outputs[0].block_elements)),
    _rope_tile,
)


# Scores of keys that come after their query


def _causal(moment: Moment, _attributes: Attributes, scores: Any) -> tuple[Any, ...]:
    xp = moment.xp
    edge, count = scores.shape[0], scores.shape[-1]
    place = ring_places(xp, edge)
    part = (place[:, None] + place[None, :]) % edge
    seen = _tokens(xp, part, count)[:, :, None, :] <= _tokens(xp, place, count)[:, None, :, None]
    seen = xp.reshape(seen, (edge, edge, *(1,) * (scores.ndim - 4), count, count))
    return (xp.where(seen, scores, xp.asarray(-xp.inf, dtype=scores.dtype)),)


OPS["causal_mask"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda _v, outputs, _a, _s: (Work("copy", outputs[0].block_elements),),
    _causal,
    exact=True,
)


# Part of one dimension: addressing only, no work


def _slice_results(values: tuple[Value, ...], attributes: Attributes) -> tuple[Result, ...]:
    (x,), dim = values, attributes["dim"]
    return (like(x, shape=(*x.shape[:dim], attributes["stop"] - attributes["start"], *x.shape[dim + 1 :])),)


def _slice(_moment: Moment, attributes: Attributes, x: Any) -> tuple[Any, ...]:
    whole = (slice(None),) * (3 + attributes["dim"])
    return (x[(*whole, slice(attributes["start"], attributes["stop"]), ...)],)


OPS["slice"] = Op(_slice_results, lambda _v, _o, _a, _s: (), _slice, exact=True)

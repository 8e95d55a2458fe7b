"""Local operations of attention over a KV cache whose positions are dealt to the rows in turn.

Position t lies on row ``t mod rows`` in slot ``t // rows``. Blocks: queries
``[1, outer, inner, kv, repeat, *dims]``, keys and values ``[rows, outer, inner, slots, kv, *dims]``, scores
``[rows, outer, inner, slots, kv, repeat]``. ``dims`` are the two dimensions
of the rotary pairs.
"""

from functools import reduce
from operator import add
from typing import Any

from wse_emu.program.layout import Layout
from wse_emu.program.ops import OPS, Attributes, Moment, Op, Result, Work, like
from wse_emu.program.value import Value

# Append the new key or value to the cache


def _append(moment: Moment, attributes: Attributes, cache: Any, new: Any) -> tuple[Any, ...]:
    rows = attributes["rows"]
    new = moment.xp.reshape(new, (*cache.shape[1:3], *cache.shape[4:]))
    return (moment.put(cache, moment.position % rows, moment.position // rows, new),)


OPS["kv_append"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, _o, _a, _s: (Work("copy", values[1].block_elements),),
    _append,
    exact=True,
)


# Scores: dot products over the dimensions on this PE


def _scores_results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
    query, keys = values
    layout = Layout((keys.layout.dims[0], *query.layout.dims[:2]), query.layout.inner)
    split = Layout(query.layout.dims[2:], query.layout.inner)
    partial = frozenset({"x"}) if split.axes() else frozenset[str]()
    return (Result((keys.shape[0], *query.shape[:2]), layout, partial, query.dtype, slotted=True),)


def _scores(moment: Moment, attributes: Attributes, query: Any, keys: Any) -> tuple[Any, ...]:
    xp = moment.xp
    keys = keys[: moment.rows_in_use(keys.shape[0]), :, :, : moment.slots, ...]
    keys = xp.reshape(keys, (*keys.shape[:5], 1, -1))
    query = xp.reshape(query * attributes["scale"], (*query.shape[:3], 1, *query.shape[3:5], -1))
    if keys.shape[-1] > _WRITTEN_OUT:
        return (xp.sum(keys * query, axis=-1),)
    return (reduce(add, (keys[..., i] * query[..., i] for i in range(keys.shape[-1]))),)


_WRITTEN_OUT = 8
"""Dimensions on a PE up to which a dot product is written out: libraries sum slowly over so short an axis."""


OPS["scores"] = Op(
    _scores_results, lambda values, _o, _a, slots: (Work("fma", slots * values[0].block_elements),), _scores
)


def _mask(moment: Moment, attributes: Attributes, scores: Any) -> tuple[Any, ...]:
    """Positions that are not there yet, and those that have left the window, score −∞."""
    xp, window = moment.xp, attributes.get("window")
    row = xp.reshape(xp.arange(scores.shape[0]), (-1, 1, 1, 1, 1, 1))
    slot = xp.reshape(xp.arange(scores.shape[3]), (1, 1, 1, -1, 1, 1))
    place = slot * attributes["rows"] + row
    seen = place <= moment.position
    if window is not None:
        seen = seen & (place > moment.position - window)
    return (xp.where(seen, scores, xp.asarray(-xp.inf, dtype=scores.dtype)),)


def _mask_work(
    values: tuple[Value, ...], _outputs: tuple[Value, ...], attributes: Attributes, slots: int
) -> tuple[Work, ...]:
    """The last slot may not be there yet; all but ⌊window / rows⌋ slots may have left the window."""
    (scores,), window = values, attributes.get("window")
    if window is None:
        return (Work("copy", 1),)
    left = max(0, slots - window // attributes["rows"])
    return (Work("copy", 1), Work("copy", left * scores.block_elements // scores.block[0]))


OPS["mask"] = Op(lambda values, _a: (like(values[0]),), _mask_work, _mask, exact=True)


# Partial softmax, merged over the rows as in flash decoding (Dao et al., 2023)


def _best_results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
    (scores,) = values
    layout = Layout((None, *scores.layout.dims[1:]), scores.layout.inner)
    return (Result((1, *scores.shape[1:]), layout, scores.partial | {"y"}, scores.dtype),)


OPS["best_score"] = Op(
    _best_results,
    lambda _v, outputs, _a, slots: (Work("add", slots * outputs[0].block_elements),),
    lambda moment, _a, scores: (moment.xp.max(scores, axis=3, keepdims=True),),
    exact=True,
)

OPS["exp_difference"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, _o, _a, slots: tuple(Work(unit, slots * values[1].block_elements) for unit in ("add", "special")),
    lambda moment, _a, scores, best: (moment.xp.exp(scores - best),),
)


def _weigh_results(values: tuple[Value, ...], _attributes: Attributes) -> tuple[Result, ...]:
    weights, cache = values
    kept, inner, partial = weights.layout.dims[1:], weights.layout.inner, frozenset({"y"})
    mixed = Result(
        (*weights.shape[1:], *cache.shape[2:]), Layout((*kept, *cache.layout.dims[2:]), inner), partial, weights.dtype
    )
    ones = (1,) * len(cache.shape[2:])
    total = Result((*weights.shape[1:], *ones), Layout((*kept, *(None,) * len(ones)), inner), partial, weights.dtype)
    return mixed, total


def _weigh(moment: Moment, _attributes: Attributes, weights: Any, cache: Any) -> tuple[Any, ...]:
    """Weighted sum of the cached values over this PE's slots, and the sum of the weights."""
    xp = moment.xp
    rows, slots, dims = weights.shape[0], weights.shape[3], cache.shape[5:]
    cache = xp.reshape(cache[:rows, :, :, :slots, ...], (rows, *cache.shape[1:3], slots, cache.shape[4], 1, -1))
    mixed = xp.sum(weights[..., None] * cache, axis=3)
    total = xp.sum(weights, axis=3)
    return (
        xp.reshape(mixed, (*mixed.shape[:-1], *dims)),
        xp.reshape(total, (*total.shape, *(1,) * len(dims))),
    )


OPS["weigh_values"] = Op(
    _weigh_results,
    lambda _v, outputs, _a, slots: tuple(
        Work(unit, slots * out.block_elements) for unit, out in zip(("fma", "add"), outputs, strict=True)
    ),
    _weigh,
)

OPS["divide"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, outputs, _a, _s: (
        Work("special", values[1].block_elements),
        Work("add", outputs[0].block_elements),
    ),
    lambda _m, _a, mixed, total: (mixed / total,),
)


# Sinks (kv, repeat): scores that take part in the softmax without a value


def _with_sink(moment: Moment, total: Any, sinks: Any, best: Any) -> Any:
    """Blocks of total are (kv, repeat, 1, 1), those of best (1, kv, repeat)."""
    xp = moment.xp
    share = xp.exp(sinks - xp.reshape(best, (*best.shape[:3], *best.shape[4:])))
    return total + xp.reshape(share, (*share.shape, *(1,) * (total.ndim - share.ndim)))


OPS["sink_best"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda _v, outputs, _a, _s: (Work("add", outputs[0].block_elements),),
    lambda moment, _a, best, sinks: (moment.xp.maximum(best, sinks[:, :, :, None, ...]),),
    exact=True,
)
OPS["add_sink"] = Op(
    lambda values, _a: (like(values[0]),),
    lambda values, _o, _a, _s: tuple(Work(unit, values[1].block_elements) for unit in ("add", "special", "add")),
    lambda moment, _a, total, sinks, best: (_with_sink(moment, total, sinks, best),),
)

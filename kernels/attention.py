"""Grouped-query attention over a KV cache that is split over positions along y and over heads and dims along x."""

from wse_emu.kernels.gemv import gemv
from wse_emu.program import Builder, Value


def attend(
    b: Builder,
    query: Value,
    keys: Value,
    values: Value,
    *,
    scale: float,
    softcap: float | None = None,
    window: int | None = None,
    sinks: Value | None = None,
) -> Value:
    """softmax(query · keysᵀ · scale) · values for the token at hand.

    With ``softcap`` the scores are soft-capped; with ``window`` only the last so many positions count. ``sinks`` (kv,
    repeat) are scores without a value, which take part in each head's softmax (Xiao et al., arXiv 2309.17453).

    query (kv, repeat, *dims), keys (positions, kv, *dims), values (positions, kv, dims); the result
    (kv, repeat, dims) is copied along y. Every row's softmax covers its own positions; the rows' maxima, then their
    sums and weighted values are merged as in flash decoding (Dao et al., 2023).
    """
    scores = b.local("scores", query, keys, scale=scale)
    if "x" in scores.partial:
        scores = b.all_reduce(scores, axis="x", group=query.layout.inner)
    if softcap is not None:
        scores = b.local("soft_cap", scores, cap=softcap)
    scores = b.local("mask", scores, rows=b.rows, **({} if window is None else {"window": window}))
    best = b.all_reduce(b.local("best_score", scores), axis="y", combine="max")
    if sinks is not None:
        best = b.local("sink_best", best, sinks)
    weights = b.local("exp_difference", scores, best)
    mixed, total = b.all_reduce(*b.local("weigh_values", weights, values), axis="y")
    if sinks is not None:
        total = b.local("add_sink", total, sinks, best)
    result: Value = b.local("divide", mixed, total)
    return result


def project(b: Builder, w: Value, mixed: Value, bias: Value | None = None) -> Value:
    """W @ mixed, plus bias.  w (n, kv, repeat, dims); the result (n,) lies ("y",), as bias does."""
    result = gemv(b, w, mixed)
    if bias is not None:
        result = b.local("add", result, bias)
    return result

"""RMS normalisation (Zhang and Sennrich, arXiv 1910.07467) and LayerNorm (Ba et al., arXiv 1607.06450)."""

from math import prod

from wse_emu.program import Builder, Value

SQUARES = "float32"
"""Sums of squares leave the range of float16 early, and one number takes a wavelet in any type."""


def rms_norm(b: Builder, x: Value, weight: Value, *, epsilon: float) -> Value:
    """X / √(mean(x²) + ε) · weight.  x and weight (n,) lie ("y",)."""
    squares = b.local("sum_of_squares", x, dims=1, dtype=SQUARES)
    squares = b.all_reduce(squares, axis="y")
    result: Value = b.local("rms_scale", x, squares, weight, size=x.shape[0], epsilon=epsilon)
    return result


def layer_norm(b: Builder, x: Value, weight: Value, bias: Value, *, epsilon: float) -> Value:
    """(X − mean(x)) / √(var(x) + ε) · weight + bias.  All (n,) lie ("y",).

    The sums of x and of x² travel as one stream: one reduction, as an RMS norm has.
    """
    total, squares = b.local("sum", x, dims=1), b.local("sum_of_squares", x, dims=1)
    total, squares = b.all_reduce(total, squares, axis="y")
    result: Value = b.local("layer_scale", x, total, squares, weight, bias, size=x.shape[0], epsilon=epsilon)
    return result


def head_norm(b: Builder, heads: Value, weight: Value, *, epsilon: float) -> Value:
    """RMS norm of every head by itself (Qwen3).  heads (kv, repeat, *dims); weight (repeat, *dims)."""
    dims = len(heads.shape) - 2
    squares = b.local("sum_of_squares", heads, dims=dims, dtype=SQUARES)
    if squares.partial:
        squares = b.all_reduce(squares, axis="x", group=heads.layout.inner)
    size = prod(heads.shape[2:])
    result: Value = b.local("rms_scale", heads, squares, weight, size=size, epsilon=epsilon)
    return result


def wide_norm(
    b: Builder, parts: tuple[Value, Value], weights: tuple[Value, Value], *, epsilon: float
) -> tuple[Value, Value]:
    """RMS norms of queries and of keys, each over all heads (OLMoE, arXiv 2409.02060).

    parts and weights (kv, repeat, *dims) lie over x; their sums of squares travel as one stream.
    """
    squares = (b.local("sum_of_squares", part, dims=len(part.shape), dtype=SQUARES) for part in parts)
    summed = b.all_reduce(*squares, axis="x")
    query, key = (
        b.local("rms_scale", part, total, weight, size=prod(part.shape), epsilon=epsilon)
        for part, total, weight in zip(parts, summed, weights, strict=True)
    )
    return query, key

"""RMS normalisation (Zhang and Sennrich, arXiv 1910.07467)."""

from math import prod

from wse_emu.program import Builder, Value


def rms_norm(b: Builder, x: Value, weight: Value, *, epsilon: float) -> Value:
    """X / √(mean(x²) + ε) · weight.  x and weight (n,) lie ("y",)."""
    squares = b.local("sum_of_squares", x, dims=1)
    squares = b.all_reduce(squares, axis="y")
    result: Value = b.local("rms_scale", x, squares, weight, size=x.shape[0], epsilon=epsilon)
    return result


def head_norm(b: Builder, heads: Value, weight: Value, *, epsilon: float) -> Value:
    """RMS norm of every head by itself (Qwen3).  heads (kv, repeat, *dims); weight (repeat, *dims)."""
    dims = len(heads.shape) - 2
    squares = b.local("sum_of_squares", heads, dims=dims)
    if squares.partial:
        squares = b.all_reduce(squares, axis="x", group=heads.layout.inner)
    size = prod(heads.shape[2:])
    result: Value = b.local("rms_scale", heads, squares, weight, size=size, epsilon=epsilon)
    return result

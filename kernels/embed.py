"""Token embedding and LM head; a tied table is stored once."""

from wse_emu.kernels.gemv import gemv
from wse_emu.program import Builder, Value


def embed(b: Builder, table: Value, token: Value, positions: Value | None = None, *, scale: float = 1.0) -> Value:
    """The row of table (vocabulary, n) for token (1,), times scale; lies ("y",).

    Its owner's column broadcasts by an all-reduce. The row of positions (context, n) for the token's position is added
    on the way.
    """
    if positions is None:
        row = b.local("lookup", table, token, block=table.block[0], dtype=b.dtype)
    else:
        places = ((table, token), (positions, b.local("position")))
        rows = (
            b.local("lookup", held, place, block=held.block[0], columns=b.cols, dtype=b.dtype) for held, place in places
        )
        row = b.local("add", *rows)
    result: Value = b.all_reduce(row, axis="x")
    if scale != 1:
        result = b.local("scale", result, factor=scale)
    return result


def lm_head(b: Builder, table: Value, x: Value, *, softcap: float | None = None) -> Value:
    """Logits (vocabulary,) of x (n,), soft-capped where softcap is given; they lie ("x",)."""
    logits = gemv(b, table, x)
    if softcap is None:
        return logits
    result: Value = b.local("soft_cap", logits, cap=softcap)
    return result

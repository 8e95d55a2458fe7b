"""Token embedding and LM head; a tied table is stored once."""

from wse_emu.kernels.gemv import gemv
from wse_emu.program import Builder, Value


def embed(b: Builder, table: Value, token: Value) -> Value:
    """The row of table (vocabulary, n) for token (1,); lies ("y",). Its owner's column broadcasts by an all-reduce."""
    result: Value = b.all_reduce(b.local("lookup", table, token, block=table.block[0]), axis="x")
    return result


def lm_head(b: Builder, table: Value, x: Value) -> Value:
    """Logits (vocabulary,) of x (n,); they lie ("x",)."""
    return gemv(b, table, x)

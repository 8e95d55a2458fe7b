"""Rotary position embedding, in both pairings (Su et al., arXiv 2104.09864)."""

from wse_emu.program import Builder, Value

PAIR_AXIS = {"half": -2, "adjacent": -1}
"""Where heads keep the two members of a rotary pair: dims are (2, n/2) or (n/2, 2)."""


def angles(b: Builder, frequencies: Value, *, magnitude: float = 1.0) -> tuple[Value, Value]:
    """Cos and sin of position · frequency, times magnitude.

    frequencies (n/2,) float32 lie over the inner columns of a head.
    """
    cos, sin = b.local("angles", frequencies, dtype=b.dtype, **({} if magnitude == 1 else {"magnitude": magnitude}))
    return cos, sin


def rope(b: Builder, heads: Value, cos: Value, sin: Value, *, pairing: str) -> Value:
    """Rotate heads (kv, repeat, *pairs) by the token's angles."""
    result: Value = b.local("rope", heads, cos, sin, pair_axis=PAIR_AXIS[pairing])
    return result

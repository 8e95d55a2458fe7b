import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, Running, close, normal
from wse_emu.kernels.rope import angles, rope
from wse_emu.program import Body, Builder, Layout


def frequencies(half: int) -> np.ndarray:
    return (10000.0 ** (-np.arange(half) / half)).astype(np.float32)


def rotated(x: np.ndarray, position: int, pairing: str) -> np.ndarray:
    """Every pair of the last axis as a complex number times e^(i·position·frequency)."""
    half = x.shape[-1] // 2
    wide = x.astype(np.float64)
    first, second = (wide[..., :half], wide[..., half:]) if pairing == "half" else (wide[..., ::2], wide[..., 1::2])
    turned = (first + 1j * second) * np.exp(1j * position * frequencies(half).astype(np.float64))
    if pairing == "half":
        return np.concatenate([turned.real, turned.imag], axis=-1)
    return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)


def rope_body(kv: int, repeat: int, half: int, inner: int, cols: int, pairing: str) -> Body:  # noqa: PLR0917
    pairs, dims = ((2, half), (None, "x.inner")) if pairing == "half" else ((half, 2), ("x.inner", None))
    b = Builder("rope", 2, cols)
    w = b.weight("frequencies", (half,), Layout(("x.inner",), inner))
    heads = b.input("heads", (kv, repeat, *pairs), Layout(("x.outer", None, *dims), inner))
    return b.build(rope(b, heads, *angles(b, w), pairing=pairing))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pairing", ["half", "adjacent"])
@settings(max_examples=30, deadline=None)
@given(
    kv=st.integers(1, 4),
    repeat=st.integers(1, 3),
    half=st.integers(1, 7),
    inner=st.integers(1, 5),
    outer=st.integers(1, 4),
    spare=st.integers(0, 4),
    position=st.integers(0, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_pairs_turn_by_position_times_frequency(  # noqa: PLR0917
    backend: str, pairing: str, kv: int, repeat: int, half: int, inner: int, outer: int, spare: int,
    position: int, seed: int,
) -> None:  # fmt: skip
    body = rope_body(kv, repeat, half, inner, outer * inner + min(spare, inner - 1), pairing)
    x = normal(np.random.default_rng(seed), kv, repeat, 2 * half)
    running = Running(backend, body, {"frequencies": frequencies(half)})
    (y,) = running({"heads": x.reshape(body.inputs[0].shape)}, position)
    close(y.reshape(x.shape), rotated(x, position, pairing), 1e-5)


@pytest.mark.parametrize("pairing", ["half", "adjacent"])
def test_positions_change_without_compiling_anew_on_jax(pairing: str) -> None:
    body = rope_body(2, 2, 3, 2, 5, pairing)
    running = Running("jax", body, {"frequencies": frequencies(3)})
    x = normal(np.random.default_rng(1), 2, 2, 6)
    for position in (0, 7):
        (y,) = running({"heads": x.reshape(body.inputs[0].shape)}, position)
        close(y.reshape(x.shape), rotated(x, position, pairing), 1e-5)

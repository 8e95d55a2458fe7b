import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, REDUCTIONS, Running, close, normal
from wse_emu.kernels.norm import head_norm, layer_norm, rms_norm
from wse_emu.program import Body, Builder, Layout

sides, seeds = st.integers(1, 9), st.integers(0, 2**32 - 1)
epsilons = st.sampled_from((1e-5, 1e-6, 0.5))


def rms(x: np.ndarray, weight: np.ndarray, epsilon: float) -> np.ndarray:
    """x / sqrt(mean(x²) + ε) · weight over the last axis, in float64."""
    wide = x.astype(np.float64)
    scaled: np.ndarray = wide / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + epsilon) * weight
    return scaled


def rms_body(n: int, rows: int, cols: int, epsilon: float, algorithm: str) -> Body:
    b = Builder("norm", rows, cols, reduce=algorithm)
    layout = Layout(("y",))
    return b.build(rms_norm(b, b.input("x", (n,), layout), b.weight("w", (n,), layout), epsilon=epsilon))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("algorithm", REDUCTIONS)
@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 40), rows=sides, cols=sides, epsilon=epsilons, seed=seeds)
def test_rms_norm(  # noqa: PLR0917
    backend: str, algorithm: str, n: int, rows: int, cols: int, epsilon: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, weight = normal(rng, n) * 3, normal(rng, n)
    (y,) = Running(backend, rms_body(n, rows, cols, epsilon, algorithm), {"w": weight})({"x": x})
    close(y, rms(x, weight, epsilon))


def test_rms_norm_on_jax() -> None:
    rng = np.random.default_rng(5)
    x, weight = normal(rng, 17), normal(rng, 17)
    (y,) = Running("jax", rms_body(17, 5, 2, 1e-6, "tree"), {"w": weight})({"x": x})
    close(y, rms(x, weight, 1e-6))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40),
    rows=sides,
    cols=sides,
    mean=st.sampled_from((0.0, -2.0, 7.0)),
    algorithm=st.sampled_from(REDUCTIONS),
    seed=seeds,
)
def test_layer_norm(  # noqa: PLR0917
    backend: str, n: int, rows: int, cols: int, mean: float, algorithm: str, seed: int
) -> None:
    """(x − mean) / sqrt(var + ε) · weight + bias, in float64."""
    rng = np.random.default_rng(seed)
    x, weight, bias = normal(rng, n) * 3 + np.float32(mean), normal(rng, n), normal(rng, n)
    body = layer_body(n, rows, cols, algorithm)
    (y,) = Running(backend, body, {"w": weight, "bias": bias})({"x": x})
    wide = x.astype(np.float64)
    close(y, (wide - wide.mean()) / np.sqrt(wide.var() + 0.01) * weight + bias, 1e-4)


def layer_body(n: int, rows: int, cols: int, algorithm: str) -> Body:
    b = Builder("norm", rows, cols, reduce=algorithm)
    layout = Layout(("y",))
    weight, bias = (b.weight(name, (n,), layout) for name in ("w", "bias"))
    return b.build(layer_norm(b, b.input("x", (n,), layout), weight, bias, epsilon=0.01))


def test_layer_norm_of_equal_numbers_is_the_bias() -> None:
    """Where rounding would make the variance negative."""
    x, one = np.full(11, 1234.567, np.float32), np.ones(11, np.float32)
    (y,) = Running("numpy", layer_body(11, 3, 2, "chain"), {"w": one, "bias": 5 * one})({"x": x})
    assert np.abs(y - 5).max() < 0.01


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pairing", ["half", "adjacent"])
@settings(max_examples=25, deadline=None)
@given(
    kv=st.integers(1, 4),
    repeat=st.integers(1, 3),
    half=st.integers(1, 6),
    rows=st.integers(1, 3),
    outer=st.integers(1, 5),
    inner=st.integers(1, 5),
    epsilon=epsilons,
    seed=seeds,
)
def test_every_head_is_normed_by_itself(  # noqa: PLR0917
    backend: str, pairing: str, kv: int, repeat: int, half: int, rows: int, outer: int, inner: int,
    epsilon: float, seed: int,
) -> None:  # fmt: skip
    """Its dimensions may lie over inner columns that divide nothing."""
    pairs, dims = ((2, half), (None, "x.inner")) if pairing == "half" else ((half, 2), ("x.inner", None))
    b = Builder("head norm", rows, outer * inner, reduce="two_way")
    heads = b.input("heads", (kv, repeat, *pairs), Layout(("x.outer", None, *dims), inner))
    weight = b.weight("w", (repeat, *pairs), Layout((None, *dims), inner))
    body = b.build(head_norm(b, heads, weight, epsilon=epsilon))
    rng = np.random.default_rng(seed)
    x, w = normal(rng, kv, repeat, *pairs), normal(rng, repeat, 2 * half)
    (y,) = Running(backend, body, {"w": w})({"heads": x})
    close(y.reshape(kv, repeat, -1), rms(x.reshape(kv, repeat, -1), w, epsilon))

from math import erf, sqrt
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, REDUCTIONS, Running, close, normal
from wse_emu.kernels.mlp import mlp, swiglu_mlp
from wse_emu.models.config import Activation
from wse_emu.program import Body, Builder, Layout

sizes, sides = st.integers(1, 19), st.integers(1, 8)


def mlp_body(n: int, f: int, rows: int, cols: int, algorithm: str) -> Body:
    b = Builder("mlp", rows, cols, reduce=algorithm)
    x, residual = (b.input(name, (n,), Layout(("y",))) for name in ("x", "residual"))
    gate_up = b.weight("gate_up", (2, f, n), Layout((None, "x", "y")))
    down = b.weight("down", (n, f), Layout(("y", "x")))
    return b.build(swiglu_mlp(b, gate_up, down, x, residual))


def check(backend: str, body: Body, seed: int) -> None:
    """residual + down · (silu(gate · x) ∘ (up · x)), in float64."""
    rng = np.random.default_rng(seed)
    _, f, n = body.weights[0].shape
    x, residual = normal(rng, n), normal(rng, n)
    gate, up, down = normal(rng, n, f), normal(rng, n, f), normal(rng, f, n)
    weights = {"gate_up": np.concatenate([gate, up], axis=1), "down": down}
    (y,) = Running(backend, body, weights)({"x": x, "residual": residual})
    wide = x.astype(np.float64)
    inner = wide @ gate
    close(y, residual + (inner / (1 + np.exp(-inner)) * (wide @ up)) @ down, 1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(
    n=sizes,
    f=sizes,
    rows=sides,
    cols=sides,
    algorithm=st.sampled_from(REDUCTIONS),
    seed=st.integers(0, 2**32 - 1),
)
def test_swiglu_mlp(backend: str, n: int, f: int, rows: int, cols: int, algorithm: str, seed: int) -> None:  # noqa: PLR0917
    check(backend, mlp_body(n, f, rows, cols, algorithm), seed)


def test_swiglu_mlp_on_jax() -> None:
    check("jax", mlp_body(13, 17, 4, 3, "ktree:2"), 0)


def activated(name: str, x: np.ndarray) -> np.ndarray:
    """In float64, with the error function of the C library."""
    if name == "silu":
        return np.asarray(x / (1 + np.exp(-x)))
    if name == "gelu":
        return np.array([value * 0.5 * (1 + erf(value / sqrt(2))) for value in x])
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("activation", get_args(Activation))
@settings(max_examples=15, deadline=None)
@given(n=sizes, f=sizes, rows=sides, cols=sides, biased=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_mlps_of_other_families(  # noqa: PLR0917
    backend: str, activation: Activation, gated: bool, n: int, f: int, rows: int, cols: int, biased: bool, seed: int
) -> None:
    """down · (activation(gate · x + b) ∘ (up · x + b)) + b; without a gate down · activation(up · x + b) + b."""
    rng, front = np.random.default_rng(seed), (2,) if gated else ()
    b = Builder("mlp", rows, cols, reduce="two_way")
    inward = b.weight("inward", (*front, f, n), Layout((*(None,) * len(front), "x", "y")))
    down = b.weight("down", (n, f), Layout(("y", "x")))
    biases = None
    if biased:
        wide = b.weight("wide", (*front, f), Layout((*(None,) * len(front), "x")))
        biases = wide, b.weight("narrow", (n,), Layout(("y",)))
    x = b.input("x", (n,), Layout(("y",)))
    body = b.build(mlp(b, inward, down, x, activation=activation, gated=gated, biases=biases))
    parts = 2 if gated else 1
    weights = {"inward": normal(rng, n, parts * f), "down": normal(rng, f, n)}
    weights |= {"wide": 3 * normal(rng, parts * f), "narrow": normal(rng, n)}
    given_x = normal(rng, n)
    (y,) = Running(backend, body, weights)({"x": given_x})
    inner = given_x.astype(np.float64) @ weights["inward"] + weights["wide"] * biased
    hidden = activated(activation, inner[:f]) * (inner[f:] if gated else 1)
    close(y, hidden @ weights["down"] + weights["narrow"] * biased, 1e-5)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_gelu_far_from_zero_neither_overflows_nor_wavers(name: str) -> None:
    x = np.array([-1e4, -90.0, -12.0, -6.0, 0.0, 6.0, 12.0, 90.0, 1e4], dtype=np.float32)
    b = Builder("gelu", 1, 1)
    body = b.build(b.local(name, b.input("x", (9,), Layout(("y",)))))
    (y,) = Running("numpy", body)({"x": x})
    np.testing.assert_allclose(y, activated(name, x.astype(np.float64)), rtol=1e-6, atol=2e-7)

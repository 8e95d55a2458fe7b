import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, REDUCTIONS, Running, close, normal
from wse_emu.kernels.mlp import swiglu_mlp
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

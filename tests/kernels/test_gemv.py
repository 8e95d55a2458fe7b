import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, REDUCTIONS, Running
from wse_emu.kernels.gemv import gemv, multiply
from wse_emu.program import Body, Builder, Layout, from_blocks

sizes, sides, seeds = st.integers(1, 23), st.integers(1, 9), st.integers(0, 2**32 - 1)


def whole(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small whole numbers, whose sums of products float32 holds exactly in any order."""
    return rng.integers(-9, 10, shape).astype(np.float32)


def gemv_body(n: int, m: int, rows: int, cols: int, axis: str, algorithm: str) -> Body:  # noqa: PLR0917
    """Axis: the one that splits the input."""
    other = "x" if axis == "y" else "y"
    b = Builder("gemv", rows, cols, reduce=algorithm)
    w = b.weight("w", (n, m), Layout((other, axis)))
    return b.build(gemv(b, w, b.input("x", (m,), Layout((axis,)))))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("algorithm", REDUCTIONS)
@settings(max_examples=12, deadline=None)
@given(n=sizes, m=sizes, rows=sides, cols=sides, axis=st.sampled_from("xy"), seed=seeds)
def test_matrix_times_vector(  # noqa: PLR0917
    backend: str, algorithm: str, n: int, m: int, rows: int, cols: int, axis: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    w, x = whole(rng, n, m), whole(rng, m)
    (y,) = Running(backend, gemv_body(n, m, rows, cols, axis, algorithm), {"w": w.T})({"x": x})
    np.testing.assert_array_equal(y, w.astype(np.float64) @ x)


@pytest.mark.parametrize(("axis", "m"), [("x", 11), ("y", 12), ("y", 200)])
def test_matrix_times_vector_on_jax(axis: str, m: int) -> None:
    """Both of its ways: sums written out, and matrix products for long ones."""
    rng = np.random.default_rng(m)
    w, x = whole(rng, 13, m), whole(rng, m)
    (y,) = Running("jax", gemv_body(13, m, 5, 4, axis, "two_phase"), {"w": w.T})({"x": x})
    np.testing.assert_array_equal(y, w.astype(np.float64) @ x)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25, deadline=None)
@given(n=sizes, m=sizes, hidden=sizes, rows=sides, cols=sides, seed=seeds)
def test_two_in_a_row_need_no_transpose(  # noqa: PLR0917
    backend: str, n: int, m: int, hidden: int, rows: int, cols: int, seed: int
) -> None:
    b = Builder("two", rows, cols, reduce="two_way")
    x = b.input("x", (m,), Layout(("y",)))
    first = b.weight("first", (hidden, m), Layout(("x", "y")))
    second = b.weight("second", (n, hidden), Layout(("y", "x")))
    body = b.build(gemv(b, second, gemv(b, first, x)))
    assert body.outputs[0].layout == Layout(("y",))
    rng = np.random.default_rng(seed)
    one, two, vector = whole(rng, hidden, m), whole(rng, n, hidden), whole(rng, m)
    (y,) = Running(backend, body, {"first": one.T, "second": two.T})({"x": vector})
    np.testing.assert_array_equal(y, two.astype(np.float64) @ (one.astype(np.float64) @ vector))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25, deadline=None)
@given(
    kv=st.integers(1, 4),
    repeat=st.integers(1, 3),
    half=st.integers(1, 5),
    m=sizes,
    rows=sides,
    outer=st.integers(1, 5),
    inner=st.integers(1, 4),
    spare=st.integers(0, 3),
    seed=seeds,
)
def test_outputs_of_several_dimensions_over_factored_columns(  # noqa: PLR0917
    backend: str, kv: int, repeat: int, half: int, m: int, rows: int, outer: int, inner: int, spare: int, seed: int
) -> None:
    """Spare columns, fewer than a group, stay idle; so may whole groups."""
    cols = outer * inner + min(spare, inner - 1)
    layout = ("x.outer", None, None, "x.inner")
    b = Builder("heads", rows, cols, reduce="ktree:2")
    w = b.weight("w", (kv, repeat, 2, half, m), Layout((*layout, "y"), inner))
    x = b.input("x", (m,), Layout(("y",)))
    back = b.weight("back", (m, kv, repeat, 2, half), Layout(("y", *layout), inner))
    heads = gemv(b, w, x)
    body = b.build(heads, gemv(b, back, heads))
    rng = np.random.default_rng(seed)
    forth, other, vector = whole(rng, m, kv * repeat * 2 * half), whole(rng, kv * repeat * 2 * half, m), whole(rng, m)
    y, z = Running(backend, body, {"w": forth, "back": other})({"x": vector})
    expected = vector.astype(np.float64) @ forth
    np.testing.assert_array_equal(y, expected.reshape(kv, repeat, 2, half))
    np.testing.assert_array_equal(z, expected @ other)


def test_partial_products_stay_on_their_rows() -> None:
    """Row r of PEs multiplies inputs 2r and 2r + 1 only."""
    b = Builder("partial", 3, 2)
    w = b.weight("w", (4, 6), Layout(("x", "y")))
    body = b.build(multiply(b, w, b.input("x", (6,), Layout(("y",)))))
    assert body.outputs[0].partial == {"y"}
    rng = np.random.default_rng(0)
    matrix, vector = whole(rng, 4, 6), whole(rng, 6)
    running = Running("numpy", body, {"w": matrix.T})
    own = body.inputs[0]
    outputs, _ = running.engine.run(
        body, {own.name: np.reshape(vector, (3, 1, 1, 2))}, running.weights, running.states, 0
    )
    (partial,) = outputs.values()
    for row in range(3):
        part = matrix[:, 2 * row : 2 * row + 2] @ vector[2 * row : 2 * row + 2]
        got = from_blocks(np, np.asarray(partial)[row : row + 1], (4,), Layout(("x",)), 3, 2)
        np.testing.assert_array_equal(got, part)

"""Collectives on rings: sums on every PE, in the ring's order, and in the same cycles on both engines."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.ring_fabric import ring_fabric
from tests.engines.streams import ring
from tests.kernels.running import BACKENDS, Running, close, normal
from wse_emu.engines.assembly import assemble_body
from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wavelet import Machine
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer
from wse_emu.kernels.gemv import multiply
from wse_emu.kernels.ring import ring_all_reduce, ring_all_reduce_2d
from wse_emu.program import Body, Builder, Layout
from wse_emu.program.steps import Axis

EVERY = Layout(("y", "x", None))


def body(rows: int, cols: int, elements: int, axis: Axis | None, dtype: str = "float32") -> Body:
    b = Builder("ring", rows, cols, dtype=dtype)
    x = b.input("x", (rows, cols, elements), EVERY)
    return b.build(ring_all_reduce_2d(b, x) if axis is None else ring_all_reduce(b, x, axis=axis))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(1, 6),
    cols=st.integers(1, 6),
    elements=st.integers(1, 20),
    axis=st.sampled_from(("x", "y", None)),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_pe_has_the_sum(  # noqa: PLR0917
    backend: str, rows: int, cols: int, elements: int, axis: Axis | None, seed: int
) -> None:
    x = np.random.default_rng(seed).integers(-99, 100, (rows, cols, elements)).astype(np.float32)
    (got,) = Running(backend, body(rows, cols, elements, axis))({"x": x})
    over = {"y": (0,), "x": (1,), None: (0, 1)}[axis]
    np.testing.assert_array_equal(got, np.broadcast_to(x.sum(axis=over, keepdims=True), x.shape))


def test_a_block_is_summed_in_the_rings_order_on_both_engines_to_the_last_bit() -> None:
    extent, block = 7, 3
    order = ring(extent)
    x = normal(np.random.default_rng(3), 1, extent, extent * block) * np.float32(10) ** np.arange(extent)[:, None]
    x = x.astype(np.float32)
    expected = x[0, 0].copy()
    for part in range(extent):
        piece = slice(part * block, (part + 1) * block)
        expected[piece] = x[0, order[part], piece]
        for place in range(1, extent):
            expected[piece] = expected[piece] + x[0, order[(part + place) % extent], piece]
    (got,) = Running("numpy", body(1, extent, extent * block, "x"))({"x": x})
    k, held = ring_fabric(load_wafer("wse3"), order, block)
    k.set(held, x)
    for found in (got, k.run().read(held)):
        np.testing.assert_array_equal(found[0], np.broadcast_to(expected, (extent, extent * block)))


def test_partial_products_may_go_around_a_ring() -> None:
    rng = np.random.default_rng(0)
    w, x = normal(rng, 8, 10), normal(rng, 10)
    b = Builder("gemv", 5, 2)
    partial = multiply(b, b.weight("w", (8, 1, 10), Layout(("x", None, "y"))), b.input("x", (10,), Layout(("y",))))
    assert partial.shape == (8, 1)
    (got,) = Running("numpy", b.build(ring_all_reduce(b, partial, axis="y")), {"w": w.T})({"x": x})
    close(got[:, 0], w.astype(np.float64) @ x.astype(np.float64))


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(1, 5),
    cols=st.integers(1, 8),
    elements=st.integers(1, 40),
    axis=st.sampled_from(("x", "y", None)),
    dtype=st.sampled_from(("float16", "float32")),
    wafer=st.sampled_from(("wse1", "wse2", "wse3")),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_engines_give_the_same_cycles(  # noqa: PLR0917
    rows: int, cols: int, elements: int, axis: Axis | None, dtype: str, wafer: str, seed: int
) -> None:
    spec, program = load_wafer(wafer), body(rows, cols, elements, axis, dtype)
    start = np.random.default_rng(seed).integers(0, 60, (rows, cols))
    expected = BodyClock(spec, program, start, 1)
    expected.run()
    found = Machine(assemble_body(program, spec), start).run()
    np.testing.assert_array_equal(found.clock, expected.clock + expected.offset)
    np.testing.assert_array_equal(found.links, expected.links)


def test_what_a_ring_cannot_cut_or_sum_is_refused() -> None:
    b = Builder("ring", 2, 3)
    with pytest.raises(WseError, match="its last dimension is cut into blocks and must lie whole on a PE"):
        ring_all_reduce(b, b.input("split", (2, 6), Layout((None, "x"))), axis="x")
    with pytest.raises(WseError, match="all PEs along y hold the same: there is nothing to sum"):
        ring_all_reduce(b, b.input("same", (3, 6), Layout(("x", None))), axis="y")

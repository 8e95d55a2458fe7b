"""GEMM-T and its like: the numbers of numpy, on every backend, and the cycles of both engines."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, Running, close, normal
from wse_emu.engines.assembly import assemble_body
from wse_emu.engines.lines import ring
from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wavelet import Machine
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer
from wse_emu.kernels.gemm import TILES, tiles
from wse_emu.kernels.gemm_t import (
    align_down,
    gemm_t,
    in_rows,
    parts,
    places,
    skewed_across,
    skewed_along,
    skewed_down,
    walking_gemm,
)
from wse_emu.program import Body, Builder, Layout

STACKED = Layout(("y", "x", None, None, None))
EDGES, SIZES, SEEDS = st.integers(1, 7), st.tuples(*[st.integers(1, 20)] * 3), st.integers(0, 2**32 - 1)


def body(edge: int, tile: tuple[int, int, int], *, transposed: bool = True) -> Body:
    m, k, n = tile
    b = Builder("gemm_t", edge, edge)
    a = b.input("a", (edge, edge, m, k), TILES)
    w = b.input("w", (edge, edge, *((n, k) if transposed else (k, n))), TILES)
    return b.build(gemm_t(b, a, w) if transposed else walking_gemm(b, a, w))


def whole(held: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The matrix of tiles (P, P, m, n), the padding cut off."""
    edge, _, m, n = held.shape
    return held.swapaxes(1, 2).reshape(edge * m, edge * n)[:rows, :columns]


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20, deadline=None)
@given(edge=EDGES, sizes=SIZES, seed=SEEDS)
def test_what_walks_makes_the_product_with_the_transpose(
    backend: str, edge: int, sizes: tuple[int, int, int], seed: int
) -> None:
    rng, (m, k, n) = np.random.default_rng(seed), sizes
    a, w = normal(rng, m, k), normal(rng, n, k)
    a_tiles, w_tiles = tiles(a, edge), tiles(w, edge)
    running = Running(backend, body(edge, (*a_tiles.shape[2:], w_tiles.shape[2])))
    (out,) = running({"a": a_tiles, "w": skewed_down(w_tiles)})
    close(whole(in_rows(out), m, n), a.astype(np.float64) @ w.T.astype(np.float64), 1e-5)


@settings(max_examples=20, deadline=None)
@given(edge=EDGES, sizes=SIZES, seed=SEEDS)
def test_the_same_walk_makes_the_product_itself(edge: int, sizes: tuple[int, int, int], seed: int) -> None:
    rng, (m, k, n) = np.random.default_rng(seed), sizes
    a, w = normal(rng, m, k), normal(rng, k, n)
    a_tiles, w_tiles = tiles(a, edge), tiles(w, edge)
    running = Running("numpy", body(edge, (*a_tiles.shape[2:], w_tiles.shape[3]), transposed=False))
    (out,) = running({"a": a_tiles, "w": skewed_across(w_tiles)})
    close(whole(in_rows(out), m, n), a.astype(np.float64) @ w.astype(np.float64), 1e-5)


def test_matrices_are_counted_or_summed() -> None:
    """Two heads of queries to a key, as attention has them: a product each, or one over both."""
    rng, edge = np.random.default_rng(5), 3
    a, w = normal(rng, 2, 6, 9), normal(rng, 2, 9, 6)
    a_tiles, w_tiles = (np.stack([tiles(one, edge) for one in held], axis=2) for held in (a, w))
    for summed, expected in ((False, a @ w), (True, (a @ w).sum(axis=0, keepdims=True))):
        b = Builder("gemm", edge, edge)
        left, right = (b.input(name, held.shape, STACKED) for name, held in (("a", a_tiles), ("w", w_tiles)))
        run = Running("numpy", b.build(walking_gemm(b, left, right, summed=summed)))
        (out,) = run({"a": a_tiles, "w": skewed_across(w_tiles)})
        for i, one in enumerate(expected):
            close(whole(in_rows(out)[:, :, i], 6, 6), one.astype(np.float64), 1e-5)


@settings(max_examples=30, deadline=None)
@given(edge=st.integers(1, 12))
def test_columns_are_skewed_by_shifts(edge: int) -> None:
    """A tile holds the row that it comes from, numbered by ring places; (i, j) needs that of place i + j."""
    b = Builder("align", edge, edge)
    held = np.broadcast_to(places(edge)[:, None, None, None], (edge, edge, 1, 1)).astype(np.float32)
    (out,) = Running("numpy", b.build(align_down(b, b.input("w", held.shape, TILES))))({"w": held})
    np.testing.assert_array_equal(out[:, :, 0, 0], parts(edge))


def test_parts_at_places_by_hand() -> None:
    """The ring of five is 0, 2, 4, 3, 1."""
    assert places(5).tolist() == [0, 4, 1, 3, 2]
    assert ring(5)[places(5)].tolist() == list(range(5))
    assert parts(5)[1].tolist() == [4, 3, 0, 2, 1]
    held = np.arange(25).reshape(5, 5)
    np.testing.assert_array_equal(in_rows(skewed_along(held)), held)


@settings(max_examples=25, deadline=None)
@given(
    edge=st.integers(1, 6),
    tile=st.tuples(*[st.integers(1, 6)] * 3),
    wafer=st.sampled_from(("wse2", "wse3")),
)
def test_cycles_and_links_are_those_of_the_wavelets(edge: int, tile: tuple[int, int, int], wafer: str) -> None:
    """As streams of two colors overlap, a PE may be done up to two cycles a step earlier than the model says."""
    spec = replace(load_wafer(wafer), seam_cycles=0)
    built = body(edge, tile)
    start = np.zeros((edge, edge), dtype=np.int64)
    found = Machine(assemble_body(built, spec), start).run()
    model = BodyClock(spec, built, start, 1)
    model.run()
    np.testing.assert_array_equal(found.links, model.links)
    late = found.clock - (model.clock + model.offset)
    assert late.max() <= 0, late
    assert late.min() >= -2 * edge, late


def test_a_step_of_gemm_t_costs_what_its_tiles_take() -> None:
    """By hand, on wse3 with one PE: three outer products of four rows of five float32, which take six's time each."""
    spec = load_wafer("wse3")
    clock = BodyClock(spec, body(1, (4, 3, 5)), np.zeros((1, 1), dtype=np.int64), 1)
    clock.run()
    issue = 3 * (spec.vector_setup + spec.loop_cycles)
    rows = 3 * 4 * (spec.row_cycles + 6 / spec.rates["fma_float32"])
    assert int(clock.clock.max() + clock.offset) == issue + int(np.ceil(float(rows)))


def test_rings_need_a_square() -> None:
    b = Builder("gemm_t", 2, 3)
    a, w = (b.input(name, (2, 3, 1, 1), TILES) for name in "aw")
    with pytest.raises(WseError, match=r"gemm_t on 3×2 PEs: its rings need as many columns as rows"):
        gemm_t(b, a, w)

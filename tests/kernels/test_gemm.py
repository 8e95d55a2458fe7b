"""MeshGEMM: what comes out is the matrix product, tile by tile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, Running, close, normal
from wse_emu.errors import WseError
from wse_emu.kernels.gemm import TILES, aligned, mesh_gemm, tiles
from wse_emu.program import Builder


def product(backend: str, a: np.ndarray, w: np.ndarray, edge: int) -> np.ndarray:
    """A @ W on ``edge``² PEs, the padding cut off."""
    (m, k), n = (-(-size // edge) for size in a.shape), -(-w.shape[1] // edge)
    b = Builder("gemm", edge, edge)
    values = [b.input(name, (edge, edge, *t), TILES) for name, t in (("a", (m, k)), ("w", (k, n)), ("zero", (m, n)))]
    running = Running(backend, b.build(mesh_gemm(b, *values)))
    a_tiles, w_tiles = aligned(a, w, edge)
    (out,) = running({"a": a_tiles, "w": w_tiles, "zero": np.zeros((edge, edge, m, n), dtype=np.float32)})
    return out.swapaxes(1, 2).reshape(edge * m, edge * n)[: a.shape[0], : w.shape[1]]


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20, deadline=None)
@given(
    edge=st.integers(1, 7),
    sizes=st.tuples(*[st.integers(1, 20)] * 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_tiles_that_walk_make_the_product(backend: str, edge: int, sizes: tuple[int, int, int], seed: int) -> None:
    rng, (m, k, n) = np.random.default_rng(seed), sizes
    a, w = normal(rng, m, k), normal(rng, k, n)
    close(product(backend, a, w, edge), a.astype(np.float64) @ w.astype(np.float64), 1e-5)


def test_every_pe_begins_with_two_tiles_of_the_same_part() -> None:
    """K is numbered along A's columns and along W's rows."""
    parts = np.arange(5.0)[None, :]
    a, w = aligned(np.repeat(parts, 5, axis=0), np.repeat(parts.T, 5, axis=1), 5)
    np.testing.assert_array_equal(a[..., 0, 0], w[..., 0, 0])
    for line in (*a[..., 0, 0], *a[..., 0, 0].T):
        assert sorted(line) == [0, 1, 2, 3, 4]


def test_tiles_are_padded_at_the_end() -> None:
    held = tiles(np.arange(15.0).reshape(3, 5), 2)
    assert held.shape == (2, 2, 2, 3)
    assert held[0, 1].tolist() == [[3, 4, 0], [8, 9, 0]]
    assert held[1, 0].tolist() == [[10, 11, 12], [0, 0, 0]]


def test_rings_need_a_square() -> None:
    b = Builder("gemm", 2, 3)
    values = [b.input(name, (2, 3, 1, 1), TILES) for name in "awz"]
    with pytest.raises(WseError, match=r"mesh_gemm on 3×2 PEs: its rings need as many columns as rows"):
        mesh_gemm(b, *values)

"""Matrix times matrix over a region: MeshGEMM, tiles that walk around rings while every PE multiplies.

Source: WaferLLM (OSDI 2025, arXiv 2502.04563), section 5. As in Cannon's algorithm a tile of A walks along x and one of
B along y, one place a step; the rings are interleaved, so that no place is more than two hops from the next.
"""

import numpy as np

from wse_emu.engines.lines import ring
from wse_emu.errors import WseError
from wse_emu.program import Builder, Layout, Value

TILES = Layout(("y", "x", None, None))
"""How a matrix of tiles (rows, columns, *tile) lies: one tile a PE."""


def mesh_gemm(b: Builder, a: Value, w: Value, zero: Value, *, steps: int | None = None) -> Value:
    """C = zero + A @ B in tiles: a (P, P, m, k) and w (P, P, k, n) as :func:`aligned` deals them, zero (P, P, m, n).

    ``steps``: how many of the P steps to emit (all if None).
    """
    if b.rows != b.cols:
        raise WseError(f"mesh_gemm on {b.cols}×{b.rows} PEs: its rings need as many columns as rows")
    for _ in range(b.rows if steps is None else steps):
        a, w, zero = mesh_gemm_step(b, a, w, zero)
    return zero


def mesh_gemm_step(
    b: Builder, a: Value, w: Value, total: Value, *, fewest_rows: bool = False
) -> tuple[Value, Value, Value]:
    """Multiply the tiles at hand while both walk on; returns them and the sum.

    Vectors go along the columns of tiles, as in WaferLLM's program; with ``fewest_rows`` along their longer side.
    """
    with b.overlap():
        next_a = b.shift(a, axis="x", distance=-1)
        next_w = b.shift(w, axis="y", distance=-1)
        total = b.local("gemm_add", total, a, w, **({"fewest_rows": True} if fewest_rows else {}))
    return next_a, next_w, total


def aligned(a: np.ndarray, w: np.ndarray, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """The tiles of a (M, K) and w (K, N) on ``edge`` × ``edge`` PEs before the first step, padded with zeros.

    The PE at ring places (i, j) of its column and its row begins with part (i + j) mod P of K, so that a step of either
    ring brings both tiles of the next part. Returns (P, P, m, k) and (P, P, k, n).
    """
    place = np.empty(edge, dtype=np.int64)
    place[ring(edge)] = np.arange(edge)
    part = (place[:, None] + place[None, :]) % edge
    rows, columns = np.arange(edge)[:, None], np.arange(edge)[None, :]
    return tiles(a, edge)[rows, part], tiles(w, edge)[part, columns]


def tiles(matrix: np.ndarray, edge: int) -> np.ndarray:
    """``matrix`` (M, N) in ``edge`` × ``edge`` tiles (P, P, m, n), padded with zeros at its end."""
    m, n = (-(-size // edge) for size in matrix.shape)
    padded = np.zeros((edge * m, edge * n), dtype=matrix.dtype)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    return padded.reshape(edge, m, edge, n).swapaxes(1, 2)

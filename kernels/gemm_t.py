"""Matrix times transposed matrix over a region, C = A @ Bᵀ: A stays, B walks along y, and sums of C walk along x.

Source: WaferLLM (OSDI 2025, arXiv 2502.04563) for the need: attention's scores, where a transpose over the mesh would
cost more than the product, and B's tiles move along y while C is summed along x. Here C is summed as it walks around
the interleaved ring of its row, a place a step, so that every tile ends on one PE, no tree is needed, and the links
along both axes are at work at once.

The same walk multiplies by a matrix that is not transposed (:func:`walking_gemm`). It takes A as it lies in rows and
columns and leaves C as :func:`~wse_emu.kernels.gemm.mesh_gemm` wants its A: GEMMs of both kinds in turn need no
alignment between them; only what walks along y and was computed on the wafer must be skewed first.
"""

from collections.abc import Mapping

import numpy as np

from wse_emu.engines.lines import ring
from wse_emu.errors import WseError
from wse_emu.program import Builder, Value


def gemm_t(b: Builder, a: Value, w: Value, *, control: Mapping[str, int] | None = None) -> Value:
    """A @ Wᵀ in tiles: a (P, P, …, m, k) in rows and columns, w (P, P, …, n, k) :func:`skewed_down`.

    The result (P, P, …, m, n) lies :func:`skewed_along`. Dimensions between those of the PEs and of the tiles
    count matrices. ``control``: what a program spends before every step (:meth:`Builder.control`). Raises WseError for
    a region that is no square.
    """
    return _walk(b, a, w, {"transposed": True}, control or {})


def walking_gemm(
    b: Builder, a: Value, w: Value, *, summed: bool = False, control: Mapping[str, int] | None = None
) -> Value:
    """A @ W in tiles: a (P, P, …, m, k) in rows and columns, w (P, P, …, k, n) :func:`skewed_across`.

    The result lies :func:`skewed_along`; with ``summed`` it is the sum over all matrices that the dimensions between
    count. Else as :func:`gemm_t`.
    """
    return _walk(b, a, w, {"summed": True} if summed else {}, control or {})


def _walk(b: Builder, a: Value, w: Value, attributes: dict[str, bool], control: Mapping[str, int]) -> Value:
    """Multiply the tiles at hand while the next one of w comes, and the sum to which the product belongs."""
    if b.rows != b.cols:
        raise WseError(f"gemm_t on {b.cols}×{b.rows} PEs: its rings need as many columns as rows")
    _between(b, control)
    if b.rows == 1:
        alone: Value = b.local("gemm", a, w, **attributes)
        return alone
    with b.overlap():
        coming = b.shift(w, axis="y", distance=-1)
        total: Value = b.local("gemm", a, w, **attributes)
    for left in range(b.rows - 2, -1, -1):
        w = coming
        _between(b, control)
        with b.overlap():
            passed = b.shift(total, axis="x", distance=-1)
            coming = b.shift(w, axis="y", distance=-1) if left else w
            product = b.local("gemm", a, w, **attributes)
        total = b.local("add", passed, product)
    return b.shift(total, axis="x", distance=-1)


def _between(b: Builder, control: Mapping[str, int]) -> None:
    if control:
        b.control(**control)


def align_down(b: Builder, w: Value) -> Value:
    """Tiles that lie in rows and columns, :func:`skewed_down`: column by column as many places as the column has.

    Shifts by 1, 2, 4, … places, of which every column keeps those that its own place is the sum of.
    """
    for bit in range((b.cols - 1).bit_length()):
        moved = b.shift(w, axis="y", distance=-(1 << bit))
        w = b.local("keep_shifted", w, moved, bit=bit)
    return w


def places(edge: int) -> np.ndarray:
    """The ring place of every position of a line, int64."""
    place = np.empty(edge, dtype=np.int64)
    place[ring(edge)] = np.arange(edge)
    return place


def parts(edge: int) -> np.ndarray:
    """Part (i + j) mod P of what is skewed, at the PE whose ring places are i and j: int64 (rows, columns)."""
    place = places(edge)
    total: np.ndarray = (place[:, None] + place[None, :]) % edge
    return total


def skewed_along(held: np.ndarray) -> np.ndarray:
    """Tiles (P, P, …) of a matrix, by row and column, as they lie if every row begins with another part."""
    return np.asarray(held[np.arange(len(held))[:, None], parts(len(held))])


def skewed_down(held: np.ndarray) -> np.ndarray:
    """The same if every column begins with another part."""
    return np.asarray(held[parts(len(held)), np.arange(len(held))[None, :]])


def skewed_across(held: np.ndarray) -> np.ndarray:
    """The same with the matrix's rows of tiles dealt to the columns of PEs, and its columns walking."""
    return np.asarray(held[np.arange(len(held))[None, :], parts(len(held))])


def in_rows(held: np.ndarray) -> np.ndarray:
    """What :func:`skewed_along` has skewed, as it was."""
    back = np.empty_like(held)
    back[np.arange(len(held))[:, None], parts(len(held))] = held
    return back

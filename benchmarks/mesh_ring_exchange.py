"""What `mesh_ring` compares beyond sums: all-gather, the tiles of a GEMM, and the order of a ring on its line."""

import numpy as np

from benchmarks.mesh_ring_costs import DTYPE, cycles
from benchmarks.ring_fabric import naive_order, ring_fabric
from wse_emu.engines.lines import ring
from wse_emu.engines.repeats import repeat
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.gemm import TILES, mesh_gemm_step
from wse_emu.program import Body, Builder, Layout


def all_gather(spec: WaferSpec, count: int, block: int) -> tuple[int, int]:
    """Cycles until every PE of a line has ``block`` wavelets of every other: broadcasts in turn, and shifts."""
    bodies = []
    for by_ring in (False, True):
        b = Builder("all-gather", 1, count, dtype=DTYPE)
        x = b.input("x", (count, 2 * block), Layout(("x", None)))
        held = x
        for root in range(count - by_ring):
            held = b.shift(held, axis="x") if by_ring else b.broadcast(x, axis="x", root=root)
        bodies.append(b.build(held))
    return cycles(spec, bodies[0]), cycles(spec, bodies[1])


def gemm(spec: WaferSpec, edge: int, tile: int) -> tuple[int, int, int, int, int]:
    """Cycles of ``edge`` steps of a GEMM: its work alone, broadcasts alone (SUMMA), shifts alone (Cannon), SUMMA with
    the work after the broadcasts, MeshGEMM with the work during the shifts.
    """
    start = np.zeros((edge, edge), dtype=np.int64)
    by_cast = [
        cycles(spec, summa(edge, tile, work=work, cast=cast))
        for work, cast in ((True, False), (False, True), (True, True))
    ]
    by_ring = [int(repeat(cannon_step(edge, tile, work=work), spec, edge, start).max()) for work in (False, True)]
    return by_cast[0], by_cast[1], by_ring[0], by_cast[2], by_ring[1]


def summa(edge: int, tile: int, *, work: bool, cast: bool) -> Body:
    """C += A[:, k] B[k, :] for all k: column k of A goes along the rows, row k of B along the columns.

    van de Geijn and Watts, Concurrency 9 (1997).
    """
    b = Builder("SUMMA", edge, edge, dtype=DTYPE)
    a, w, total = (b.input(name, (edge, edge, tile, tile), TILES) for name in ("a", "w", "c"))
    for k in range(edge):
        left, right = (b.broadcast(a, axis="x", root=k), b.broadcast(w, axis="y", root=k)) if cast else (a, w)
        total = b.local("gemm_add", total, left, right) if work else total
    return b.build(total)


def cannon_step(edge: int, tile: int, *, work: bool) -> Body:
    """A step of MeshGEMM, or its exchange alone."""
    b = Builder("MeshGEMM step", edge, edge, dtype=DTYPE)
    a, w, total = (b.input(name, (edge, edge, tile, tile), TILES) for name in ("a", "w", "c"))
    if work:
        return b.build(*mesh_gemm_step(b, a, w, total))
    with b.overlap():
        after = b.shift(a, axis="x", distance=-1), b.shift(w, axis="y", distance=-1)
    return b.build(*after)


def order_of_ring(spec: WaferSpec, count: int, wavelets: int, steps: int) -> tuple[int, int]:
    """Cycles of ``steps`` around a ring on a line, cycle by cycle: neighbours side by side, and interleaved."""
    orders = (naive_order(count), ring(count).tolist())
    naive, interleaved = (ring_fabric(spec, order, wavelets, steps)[0].run().cycles for order in orders)
    return naive, interleaved

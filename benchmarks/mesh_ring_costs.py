"""What `mesh_ring` compares: all-reduces among P members on a mesh and on rings, each timed by the timing engine.

A member is one PE, or a region of ``span`` × ``span`` PEs each of whose rows sums its part in one PE: members are then
``span`` hops apart, and nothing else shares their links. ``wavelets``: what a member's row holds, float16.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isqrt

import numpy as np

from wse_emu.engines.semantics import StreamCosts, stream_costs
from wse_emu.engines.timing import BodyClock, shift_line
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.collectives import all_reduce_2d
from wse_emu.kernels.ring import ring_all_reduce, ring_all_reduce_2d
from wse_emu.program import Body, Builder, Layout, Value
from wse_emu.program.schedule import candidates

DTYPE = "float16"
Make = Callable[[Builder, Value], Value]


@dataclass(frozen=True)
class Found:
    """An all-reduce, and the cycle in which its last PE is done."""

    cycles: int
    how: str = ""
    """The algorithm, where there is a choice."""


def first(holds: Callable[[int], bool]) -> int:
    """The least vector for which ``holds``, that being so for all longer ones up to 2¹⁴ wavelets.

    Blocks are whole wavelets, so a comparison may change sides more than once within P wavelets; one of them is found.
    """
    return 1 + bisect_left(range(1, 1 << 14), x=True, key=holds)


def members(spec: WaferSpec, span: int) -> WaferSpec:
    """A wafer whose hops lead from member to member, ``span`` of the real one's; seams are left out."""
    return replace(spec, hop_cycles=span * spec.hop_cycles, row_seams=(), column_seams=())


def trees(spec: WaferSpec, count: int, wavelets: int) -> list[Found]:
    """The fastest reduction and broadcast on a line of ``count`` members, and on a square of them, axis after axis."""
    side = isqrt(count)
    found = [_best(spec, 1, count, wavelets)]
    return [*found, _best(spec, side, side, wavelets)] if side**2 == count else found


def _best(spec: WaferSpec, rows: int, cols: int, wavelets: int) -> Found:
    def timed(algorithm: str) -> Found:
        def make(b: Builder, x: Value) -> Value:
            if rows > 1:
                return all_reduce_2d(b, x, algorithm=algorithm)
            total: Value = b.all_reduce(x, axis="x", algorithm=algorithm)
            return total

        return Found(cycles(spec, body(rows, cols, wavelets, make)), algorithm)

    return min((timed(name) for name in candidates(cols)), key=lambda found: found.cycles)


def stored_rings(spec: WaferSpec, count: int, wavelets: int) -> list[Found]:
    """Rings as programs of this project: what arrives is stored, and added when all of it is there."""
    side = isqrt(count)

    def one(b: Builder, x: Value) -> Value:
        return ring_all_reduce(b, x, axis="x")

    found = [Found(cycles(spec, body(1, count, wavelets, one)), "ring")]
    if side**2 == count:
        found.append(Found(cycles(spec, body(side, side, wavelets, ring_all_reduce_2d)), "x, y"))
    return found


def fused_rings(spec: WaferSpec, count: int, wavelets: int) -> list[Found]:
    """Rings that add while they receive: the timing engine's shifts with the costs of a stream that combines.

    One interleaved ring on a line; one that walks around a square of even side, where every step is one hop, as in a
    ring of two; rings along both axes of the square, which pass on a block of a block.
    """
    side, adding = isqrt(count), stream_costs(spec, DTYPE, combining=True)
    both = (replace(adding, receive=adding.combine), stream_costs(spec, DTYPE, combining=False))
    block = -(-wavelets // count)
    found = [Found(_go_around(np.zeros((count, 1), dtype=np.int64), [(count - 1, block, c) for c in both]))]
    if side**2 < count:
        return found
    if side % 2 == 0:
        walk = _go_around(np.zeros((2, 1), dtype=np.int64), [(count - 1, block, c) for c in both])
        found.append(Found(walk))
    part = -(-wavelets // side)
    blocks = (part, -(-part // side))
    legs = [(side - 1, n, both[0]) for n in blocks] + [(side - 1, n, both[1]) for n in reversed(blocks)]
    return [*found, Found(_go_around(np.zeros((side, side), dtype=np.int64), legs, turns=(1, 3)))]


def _go_around(clock: np.ndarray, legs: list[tuple[int, int, StreamCosts]], turns: tuple[int, ...] = ()) -> int:
    """The end of ``legs`` of so many steps of so many wavelets; the axis changes before the legs ``turns``."""
    for number, (steps, wavelets, costs) in enumerate(legs):
        if number in turns:
            clock = np.ascontiguousarray(clock.T)
        for _ in range(steps):
            shift_line(clock, 1, wavelets, costs)
    return int(clock.max())


def body(rows: int, cols: int, wavelets: int, make: Make) -> Body:
    """One collective of ``wavelets`` a member."""
    b = Builder("collective", rows, cols, dtype=DTYPE)
    return b.build(make(b, b.input("x", (rows, cols, 2 * wavelets), Layout(("y", "x", None)))))


def cycles(spec: WaferSpec, program: Body) -> int:
    """When the last PE of ``program`` is done, all begun at once."""
    run = BodyClock(spec, program, np.zeros((program.rows, program.cols), dtype=np.int64), 1)
    run.run()
    return int(run.clock.max()) + run.offset

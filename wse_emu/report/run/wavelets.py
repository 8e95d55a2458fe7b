"""wavelets.npz: every wavelet of a recorded token, router by router; and the same as log lines that a viewer replays.

The lines are those of the vendor's simulator, as far as its public viewer reads them; ``docs/run-folder.md`` has them.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wse_emu.engines.code import FabricProgram
from wse_emu.engines.wavelet.recorder import Recorder
from wse_emu.fabric.directions import DIRECTIONS, Direction
from wse_emu.fabric.routes import RAMP, port

LINKS = "EWNSR"
"""By number: the link that a wavelet comes by or leaves by; R is the ramp to the router's own PE."""
DEPARTING = "ENWSR"
"""The order of the links in a log line."""
COLUMNS = ("cycle", "landed", "x", "y", "color", "landing", "departing", "ident")


@dataclass(frozen=True)
class Passing:
    """A wavelet at a router: landed in one cycle by the link ``landing``, moved on in another."""

    ident: int
    landing: int
    landed: int


def wavelet_arrays(program: FabricProgram, recorder: Recorder) -> dict[str, np.ndarray]:
    """Columns of equal length, int64 ``[moves]``, in the order of the cycles.

    ``cycle``: in which a router moves it on; ``landed``: in which it came; ``x``, ``y``: of the PE; ``color``;
    ``landing``: place in :data:`LINKS`; ``departing``: the ports it leaves by, bit i for place i in :data:`LINKS`;
    ``ident``: the number of the wavelet, its own from router to router, copies of a multicast included. And ``cut``
    ``[1]``: the cycle behind which nothing was recorded, −1 if all was.
    """
    rows = list(_follow(program, recorder))
    table = np.array(rows, dtype=np.int64).reshape(-1, len(COLUMNS)).T
    cut = -1 if recorder.cut is None else recorder.cut
    return {**dict(zip(COLUMNS, table, strict=True)), "cut": np.array([cut])}


def _follow(program: FabricProgram, recorder: Recorder) -> Iterator[tuple[int, ...]]:
    """Wavelets of a color leave a router's queue in the order in which they came, whichever link they came by."""
    if recorder.grid is None:
        return
    stride, hop = recorder.grid.stride, program.spec.hop_cycles
    outputs = [np.take_along_axis(color.outputs, color.initial[None].astype(np.intp), 0)[0] for color in program.colors]
    own = {tuple(row) for row in recorder.table(recorder.own).tolist()}
    waiting: dict[tuple[int, int], deque[Passing]] = {}
    moves = recorder.table(recorder.moves)
    ident = 0
    for time, pe, color in moves[np.argsort(moves[:, 0], kind="stable")].tolist():
        if (time, pe, color) in own:
            passing = Passing(ident, LINKS.index("R"), time)
            ident += 1
        else:
            passing = waiting[pe, color].popleft()
        y, x = divmod(pe, stride)
        out = int(outputs[color][y, x])
        for way in DIRECTIONS:
            if out & port(way):
                landed = time + hop + _seam(program, y, x, way)
                there = (y + way.step[1]) * stride + x + way.step[0]
                waiting.setdefault((there, color), deque()).append(Passing(passing.ident, way.opposite, landed))
        at = program.place(y * program.cols + x)
        ways = (out & ~RAMP) | (1 << LINKS.index("R") if out & RAMP else 0)
        yield (time, passing.landed, *at, color, passing.landing, ways, passing.ident)


def _seam(program: FabricProgram, y: int, x: int, way: Direction) -> int:
    """What a seam between dies adds to the hop from (x, y) of the box."""
    rows, columns = program.seams
    crosses = {
        Direction.EAST: x + 1 in columns,
        Direction.WEST: x in columns,
        Direction.NORTH: y in rows,
        Direction.SOUTH: y + 1 in rows,
    }[way]
    return program.spec.seam_cycles if crosses else 0


def log_lines(arrays: dict[str, np.ndarray]) -> Iterator[str]:
    """A line for every landing and one for every move, by cycle.

    Recorded wavelets carry no payload, since their timing does not depend on it: index and data are 0.
    """
    columns = [arrays[name].tolist() for name in COLUMNS]
    lines: list[tuple[int, int, str]] = []
    for cycle, landed, x, y, color, landing, departing, ident in zip(*columns, strict=True):
        link = LINKS[landing]
        what = f"C{color} ctrl=0, idx=0x0000, data=0x0000 (0), half=0, ident=0x{ident:08x}"
        lines.append((landed, 0, f"@{landed} P{x}.{y} (hwtile) landing C{color} from link {link}, {what}"))
        ways = "".join(one if departing >> LINKS.index(one) & 1 else " " for one in DEPARTING)
        lines.append((cycle, 1, f"@{cycle} P{x}.{y} (hwtile) wavelet {what} landing={link} departing=/{ways}/"))
    lines.sort(key=lambda line: line[:2])
    return (text for _, _, text in lines)

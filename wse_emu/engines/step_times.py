"""When every step of a token began and ended, on which region, and what it waited for: gathered where somebody asks.

A row is a step of a body on its region; a move has one on the region that sends and one on each that receives.
A row lasts while it moves the latest clock of its region on, so that the rows of a region follow each other.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from wse_emu.fabric.region import Region
from wse_emu.program import Call, Host, Local, Overlap, Program
from wse_emu.program.steps import Step

CAUSES = ("work", "fabric", "host", "wait")
"""What the cycles of a step are spent on: computing, wavelets on their way, the host, or another region."""
ANY_LAYER = -1
"""The layer of what belongs to none: embedding, rotary angles, head."""


class Kind(IntEnum):
    """What decides how the cycles of a row are divided among :data:`CAUSES`."""

    WORK = 0
    FABRIC = 1
    HOST = 2
    OVERLAP = 3
    RECEIVE = 4


@dataclass(frozen=True, eq=False)
class StepList:
    """The rows of a token of a program, in program order. All have the same length.

    ``call`` is an index in ``program.steps``; ``step`` one in the body's steps, of a move 0 to send and from 1 on to
    receive.
    """

    call: np.ndarray
    step: np.ndarray
    kind: np.ndarray
    layer: np.ndarray
    kernel: list[str]
    operation: list[str]
    region: list[Region]

    @cached_property
    def sender(self) -> np.ndarray:
        """For each row the last one that sends, up to itself: whose wavelets a receiving row takes."""
        sends = np.array([name == "send" for name in self.operation])
        return np.asarray(np.maximum.accumulate(np.where(sends, np.arange(len(sends)), 0)))

    def __len__(self) -> int:
        return len(self.kernel)


@dataclass(frozen=True, eq=False)
class StepTimes:
    """One token; arrays are ``[rows of the StepList]``. Cycles count from where the token's clocks do."""

    rows: StepList
    """What each row is: the same for all tokens, but where they meet experts on regions of their own."""
    slots: int
    """KV-cache slots per PE in use."""
    begin: int
    """The latest clock that the token began with."""
    start: np.ndarray
    end: np.ndarray
    computing: np.ndarray
    """Cycles of local work, also where it is hidden behind streams. int64"""
    wavelet_hops: np.ndarray
    """Wavelets times the links that they crossed. int64"""
    idle: np.ndarray
    """Cycles in which a PE of the region waited, mean over its PEs; NaN where only the latest PE is known. float64"""

    def causes(self) -> np.ndarray:
        """Cycles by :data:`CAUSES`, int64 ``[causes, rows]``; they sum to ``end − start``."""
        rows, growth = self.rows, self.end - self.start
        found = np.zeros((len(CAUSES), len(growth)), dtype=np.int64)
        found[0] = np.where(rows.kind == Kind.WORK, growth, 0)
        found[0] += np.where(rows.kind == Kind.OVERLAP, np.minimum(growth, self.computing), 0)
        found[2] = np.where(rows.kind == Kind.HOST, growth, 0)
        found[3] = np.where(rows.kind == Kind.RECEIVE, np.clip(self.start[rows.sender] - self.start, 0, growth), 0)
        found[1] = growth - found.sum(axis=0)
        return found


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a token: columns ``start, end, computing, wavelet_hops`` int64 ``[rows, 4]``, and their ``idle``."""

    numbers: np.ndarray
    idle: np.ndarray


class BodyRecorder:
    """Gathers the rows of one body while its clocks move on."""

    def __init__(self) -> None:
        self._numbers: list[tuple[int, int, int, int]] = []
        self._idle: list[float] = []

    def add(self, start: int, end: int, computing: int, wavelet_hops: int, idle: float) -> None:
        self._numbers.append((start, end, computing, wavelet_hops))
        self._idle.append(idle)

    def rows(self, base: int = 0) -> Rows:
        """All rows so far, their clocks ``base`` later."""
        numbers = np.array(self._numbers, dtype=np.int64).reshape(-1, 4)
        numbers[:, :2] += base
        return Rows(numbers, np.array(self._idle, dtype=np.float64))


def step_times(parts: list[Rows], rows: StepList, slots: int, begin: int) -> StepTimes:
    """The token that ``parts`` make up, whose rows are ``rows``."""
    numbers = np.concatenate([part.numbers for part in parts])
    start, end, computing, hops = np.ascontiguousarray(numbers.T)
    return StepTimes(rows, slots, begin, start, end, computing, hops, np.concatenate([part.idle for part in parts]))


def step_list(program: Program) -> StepList:
    """The rows of a token of ``program``, which takes all its steps."""
    rows = []
    for index, step in enumerate(program.steps):
        if isinstance(step, Call):
            layer = layer_of(step)
            rows += [
                (index, place, _kind(one), layer, one.kernel, operation(one), step.region)
                for place, one in enumerate(step.body.steps)
            ]
            continue
        layer = next((layer_of(call) for call in _calls_on(program, step.target, index) if call.prefix), ANY_LAYER)
        rows.append((index, 0, Kind.FABRIC, layer, step.kernel, "send", step.source))
        rows += [
            (index, 1 + number, Kind.RECEIVE, layer, step.kernel, "receive", target)
            for number, target in enumerate(step.targets)
        ]
    call, place, kind, layer_column = (np.array([row[i] for row in rows], dtype=np.int32) for i in range(4))
    return StepList(call, place, kind, layer_column, *([row[i] for row in rows] for i in (4, 5, 6)))  # type: ignore[arg-type]


def layer_of(call: Call) -> int:
    """The layer whose weights ``call`` uses."""
    return int(call.prefix.split(".")[1]) if call.prefix.startswith("layers.") else ANY_LAYER


def _calls_on(program: Program, region: Region, after: int) -> list[Call]:
    """What runs next on ``region``, up to the next move."""
    found: list[Call] = []
    for step in program.steps[after + 1 :]:
        if not isinstance(step, Call):
            break
        if step.region == region:
            found.append(step)
    return found


def _kind(step: Step) -> Kind:
    if isinstance(step, Local):
        return Kind.WORK
    if isinstance(step, Host):
        return Kind.HOST
    return Kind.OVERLAP if isinstance(step, Overlap) else Kind.FABRIC


def operation(step: Step) -> str:
    """A word for what ``step`` does: "gemv", "all_reduce", "shift", …"""
    if isinstance(step, Local):
        return step.op
    return _OPERATIONS[type(step).__name__]


_OPERATIONS = {
    "Broadcast": "broadcast",
    "Reduce": "reduce",
    "AllReduce": "all_reduce",
    "Shift": "shift",
    "Overlap": "overlap",
    "Host": "host",
}

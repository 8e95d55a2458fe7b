"""The `wavelet` engine: is that true? Every router and PE of the wafer, cycle by cycle, as ``docs/machine.md`` defines them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from wse_emu.engines.code import Code, FabricProgram, Instruction
from wse_emu.engines.wavelet.control import Control
from wse_emu.engines.wavelet.fabric import Fabric
from wse_emu.engines.wavelet.planes import Grid
from wse_emu.engines.wavelet.streams import Streams

LOOK = 16
"""Cycles between two looks at which colors still do something."""


@dataclass
class Outcome:
    """What a run left. Arrays are ``[rows, cols]`` of the program's box."""

    clock: np.ndarray
    """Cycle in which each PE had done its last instruction; its start for a PE that runs nothing. int64"""
    links: np.ndarray
    """Wavelets that left each PE, int64 ``[E W N S, rows, cols]``."""
    cycles: int
    """The latest of ``clock``."""
    stepped: int
    """Cycles in which something could happen, and that were therefore worked on."""
    crowded: int
    """Cycles in which somewhere a wavelet waited for a link that another color used."""
    left_over: int
    """Wavelets that nobody took."""
    blocks: dict[int, int] = field(default_factory=dict)
    """By place in the script: when the last PE was done with it."""
    memory: np.ndarray | None = None


class Machine:
    """One run of one program."""

    def __init__(self, program: FabricProgram, start: np.ndarray | None = None, seed: int = 0) -> None:
        self.program = program
        self.grid = Grid(program.rows, program.cols)
        self.fabric = Fabric(program, self.grid, fed(program))
        self.streams = Streams(program, self.grid, self.fabric)
        if start is None:
            start = np.zeros((program.rows, program.cols), dtype=np.int64)
        self.control = Control(program, self.grid, start, seed, self._begin)
        self.always = self.streams.several
        self.stepped = 0
        spec = program.spec
        self._quiet_after = 2 * (
            LOOK + spec.hop_cycles + spec.ramp_cycles + spec.combine_cycles + ceil(spec.link_interval)
        )
        self._last_act: dict[int, int] = {}
        self._wanted: set[int] = set()
        self._entry: dict[tuple[str, int], np.ndarray] = {}
        self._use(range(len(program.colors)) if self.always else ())

    def run(self) -> Outcome:
        """Run to the end."""
        time = 0
        while True:
            self.control.events(time)
            if self._wanted:
                self._use({*self.fabric.bank.active, *self._wanted}, time)
            if self.fabric.bank.active:
                self._cycle(time)
                self.control.events(time)
                if time % LOOK == 0:
                    self._rest(time)
                time += 1
                continue
            upcoming = self.control.calendar.next
            if upcoming is None:
                break
            time = max(time, upcoming)
        return self._outcome()

    def _cycle(self, time: int) -> None:
        fabric, streams = self.fabric, self.streams
        fabric.look(time)
        bound = streams.bound
        taken, sent = streams.act(time)
        moved = fabric.route(time, bound)
        fabric.step(time, moved, taken, sent)
        streams.let_in(fabric.let_in)
        acted = fabric.bank.live["acted"]
        for plane in (moved, taken, sent):
            np.bitwise_or(acted, plane, out=acted)
        self.stepped += 1
        for side, over in zip(streams.sides, streams.over, strict=True):
            if over.any():
                self._over(time, side.name, over)

    def _over(self, time: int, side: str, over: np.ndarray) -> None:
        bank, control = self.fabric.bank, self.control
        for place in np.flatnonzero(over.any(axis=-1)).tolist():
            pes = self.grid.members(over[place])
            entry = self._entry.get((side, bank.active[place]))
            at = control.at[pes] if entry is None else entry[pes]
            for index in np.unique(at).tolist():
                chosen = pes[at == index]
                self.streams.ended(self.program.code.instructions[index], chosen)
                control.stream_over(time, index, chosen)

    def _begin(self, told: object, pes: np.ndarray, index: int) -> None:
        """A stream instruction begins to act."""
        instruction = self.program.code.instructions[index]
        self.streams.start(instruction, pes)
        self._wanted |= self.streams.colors_of(instruction)
        if self.streams.several:
            receiving = instruction.kind != "send"
            key = ("take", instruction.source) if receiving else ("send", instruction.target)
            if key not in self._entry:
                self._entry[key] = np.zeros(self.grid.bits, dtype=np.int32)
            self._entry[key][pes] = index

    def _use(self, colors: Iterable[int], time: int = 0) -> None:
        wanted = self.streams.joined(set(colors))
        self._wanted = set()
        self._last_act.update(dict.fromkeys(wanted, time))
        if wanted != set(self.fabric.bank.active) or not self.fabric.bank.live:
            self.fabric.use(wanted)
            self.streams.use()

    def _rest(self, time: int) -> None:
        """Colors on which nothing has happened for long do not stay live: only an instruction that starts can wake them."""
        acted = self.fabric.bank.live["acted"]
        for place, color in enumerate(self.fabric.bank.active):
            if acted[place].any():
                self._last_act[color] = time
        acted[...] = 0
        keep = {c for c in self.fabric.bank.active if time - self._last_act[c] < self._quiet_after}
        joined = self.streams.joined(keep)
        if len(joined) < len(self.fabric.bank.active):
            last = dict(self._last_act)
            self._use(joined, time)
            self._last_act = last

    def _outcome(self) -> Outcome:
        fabric, program = self.fabric, self.program
        fabric.use(())
        inside = np.arange(program.rows)[:, None] * self.grid.stride + np.arange(program.cols)
        clock = self.control.clock[inside]
        queues = (fabric.link, fabric.own, fabric.into)
        left = sum(int(queue.held(color).sum()) for queue in queues for color in range(len(program.colors)))
        links = np.stack([tally.total() for tally in fabric.tallies])
        return Outcome(
            clock, links, int(clock.max()), self.stepped, fabric.crowded, left, dict(self.control.left_block)
        )


def fed(program: FabricProgram) -> dict[int, np.ndarray]:
    """By color: the PEs that may run a `recv_op_send` with this target, bool ``[rows, cols]``."""
    told = program.code.instructions
    targets = sorted({i.target for i in told if i.kind == "recv_op_send"})
    found = {target: np.zeros((program.rows, program.cols), dtype=bool) for target in targets}
    if not targets:
        return found
    begins = [(place, program.starts == place) for place in np.unique(program.starts[program.starts >= 0]).tolist()]
    if program.task_set is not None:
        for number, tasks in enumerate(program.tasks):
            begins += [(place, program.task_set == number) for place in tasks]
    for place, pes in begins:
        for told_list, where in _lists(program.code, place, pes.shape):
            for instruction in told_list:
                if instruction.kind == "recv_op_send":
                    found[instruction.target][where] |= pes[where]
    return found


Where = tuple[slice, slice] | tuple[int, int]


def _lists(code: Code, place: int, shape: tuple[int, ...]) -> Iterator[tuple[list[Instruction], Where]]:
    """Every instruction list of the script from ``place`` to its end, once, and the PEs of the box that run it."""
    seen = set()
    every = slice(None)
    while (axis := code.axis[place]) != Code.END:
        key = (axis, code.origin[place], code.region[place], code.base[place])
        if key not in seen:
            seen.add(key)
            region, base, origin = code.region[place], code.base[place], code.origin[place]
            if axis == Code.EVERYWHERE:
                yield code.list_at(code.first[base]), (every, every)
            elif axis == Code.IN_REGION:
                assert region is not None
                for i in np.flatnonzero(np.array(code.first[base : base + region.pes]) >= 0).tolist():
                    yield (
                        code.list_at(code.first[base + i]),
                        (region.y + i // region.width, region.x + i % region.width),
                    )
            else:
                for i in range(origin, shape[1] if axis == Code.ALONG_X else shape[0]):
                    if base + i - origin >= len(code.first):
                        break
                    where = (every, slice(i, i + 1)) if axis == Code.ALONG_X else (slice(i, i + 1), every)
                    yield code.list_at(code.first[base + i - origin]), where
        place += 1

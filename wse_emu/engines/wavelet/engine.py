"""The `wavelet` engine: is that true? Every router and PE, cycle by cycle, as ``docs/machine.md`` defines them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from wse_emu.engines.code import Code, FabricProgram, Instruction
from wse_emu.engines.semantics import datapath_interval
from wse_emu.engines.wavelet.control import Control
from wse_emu.engines.wavelet.deadlock import explain
from wse_emu.engines.wavelet.fabric import Fabric
from wse_emu.engines.wavelet.payload import Payloads
from wse_emu.engines.wavelet.planes import Grid, some
from wse_emu.engines.wavelet.recorder import Watcher
from wse_emu.engines.wavelet.streams import RECEIVING, Streams
from wse_emu.engines.wavelet.tasks import Tasks
from wse_emu.errors import WseError

TELL = 256
"""Cycles between two reports of progress."""
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
    """Stretches of 16 cycles in which somewhere a wavelet waited for a link that another color used."""
    left_over: int
    """Wavelets that nobody took."""
    blocks: dict[int, int] = field(default_factory=dict)
    """By place in the script: when the last PE was done with it."""
    memory: np.ndarray | None = None


class Machine:
    """One run of one program."""

    def __init__(
        self, program: FabricProgram, start: np.ndarray | None = None, seed: int = 0, recorder: Watcher | None = None
    ) -> None:
        self.program, self.recorder = program, recorder
        self.grid = Grid(program.rows, program.cols)
        users = find_users(program)
        passing = {color: held for (side, color), held in users.items() if side == "pass on"}
        self.fabric = Fabric(program, self.grid, passing)
        packed = {key: self.grid.pack(held) for key, held in users.items()}
        self.streams = Streams(program, self.grid, self.fabric, packed, carrying=self._carries())
        if start is None:
            start = np.zeros((program.rows, program.cols), dtype=np.int64)
        self.control = Control(program, self.grid, start, begin=self._begin, release=self.streams.release)
        self._load(start, seed)
        self.always = self.streams.several or self.payloads is not None
        self.stepped = 0
        spec = program.spec
        pauses = spec.link_interval + datapath_interval(spec, program.dtype)
        self._quiet_after = (
            ceil(spec.hop_cycles + self.fabric.seam + spec.ramp_cycles + spec.combine_cycles + 2 * pauses) + LOOK
        )
        """Cycles without a move after which nothing is under way any more."""
        self.peak_state_bytes = 0
        """Of the planes that a cycle works on, at most."""
        self._last_act: dict[int, int] = {}
        self._wanted: set[int] = set()
        self._parked: set[int] = set()
        """Colors that rest with wavelets in their queues; on others, one who only receives has nothing to do yet."""
        self._entry: dict[tuple[str, int], np.ndarray] = {}
        self._use(range(len(program.colors)) if self.always else ())

    def _carries(self) -> bool:
        """Whether wavelets carry payloads: for a memory, or since something depends on what they are."""
        program = self.program
        filters = any(color.filters for color in program.colors)
        return program.memory is not None or filters or self.fabric.switching or bool(program.tasks)

    def _load(self, start: np.ndarray, seed: int) -> None:
        """Payloads and tasks, where the program has any."""
        program = self.program
        self.payloads: Payloads | None = None
        if not self.streams.carrying:
            return
        room = max(program.spec.output_queue_words + program.spec.input_queue_words)
        room += program.spec.ramp_cycles + program.spec.combine_cycles + program.spec.hop_cycles + self.fabric.seam + 2
        self.payloads = Payloads(program, self.grid, self.fabric, room)
        if program.memory is not None:
            self.control.compute = self.payloads.compute
        if any(color.filters for color in program.colors):
            self.fabric.filter = self.payloads.refused
        if program.tasks:
            self.control.tasks = Tasks(program, self.grid, self.payloads, seed, self.control.dispatch)
            self.control.begin_idle(start)
            for color, pes in self.control.tasks.bound.items():
                self.fabric.bank.home["open"][color] |= pes

    def run(self, progress: Callable[[int], None] | None = None) -> Outcome:
        """Run to the end; WseError for a deadlock. ``progress`` is told the cycle now and then."""
        time = idle = 0
        while True:
            idle = 0 if self.control.events(time) else idle
            if self._wanted:
                self._use({*self.fabric.bank.active, *self._wanted}, time)
            if not self.fabric.bank.active or idle > self._quiet_after:
                upcoming = self.control.calendar.next
                if upcoming is None:
                    break
                time = upcoming
                continue
            self._cycle(time)
            idle += 1
            if self.control.events(time) | self._start_tasks(time):
                idle = 0
            if time % LOOK == 0 and self._rest(time):
                idle = 0
            if progress is not None and self.stepped % TELL == 0:
                progress(time)
            time += 1
        return self._outcome(time)

    def _cycle(self, time: int) -> None:
        fabric, streams, payloads = self.fabric, self.streams, self.payloads
        fabric.look(time)
        streams.look()
        control = None if payloads is None else payloads.control_heads(fabric.into.head)
        taken, sent = streams.act(time, control)
        moved = fabric.route(time, streams.bound)
        if self.recorder is not None:
            self.recorder.note(time, self, moved, taken, streams.emitted)
        if payloads is not None and control is not None:
            payloads.send(streams.emitted, self._by_entry)
            payloads.take(taken, control, self._by_entry)
        fabric.step(time, moved, taken, sent)
        if payloads is not None:
            payloads.move(fabric.link_moved, fabric.own_moved, fabric.let_in)
        streams.let_in(fabric.let_in)
        self.stepped += 1
        for side, over in zip(streams.sides, streams.over, strict=True):
            if some(over):
                self._over(time, side.name, over)

    def _start_tasks(self, time: int) -> bool:
        """Wavelets start tasks on idle PEs; whether any did."""
        if self.control.tasks is None or not self.control.tasks.bound:
            return False
        taken = self.control.tasks.take(time, self.fabric.into.at_head())
        if not taken.any():
            return False
        self.fabric.into.take(taken)
        self.control.events(time)
        return True

    def _by_entry(self, side: str, color: int, pes: np.ndarray) -> list[tuple[Instruction, np.ndarray]]:
        """``pes`` grouped by the stream instruction that they have under way on ``color``."""
        at = self._entry[side, color][pes]
        return [(self.program.code.instructions[index], pes[at == index]) for index in np.unique(at).tolist()]

    def _over(self, time: int, side: str, over: np.ndarray) -> None:
        bank, control = self.fabric.bank, self.control
        for place in np.flatnonzero(over.any(axis=-1)).tolist():
            pes = self.grid.members(over[place])
            entry = self._entry.get((side, bank.active[place]))
            at = control.at[pes] if entry is None else entry[pes]
            for index in np.unique(at).tolist():
                chosen = pes[at == index]
                told = self.program.code.instructions[index]
                self.streams.ended(told, chosen)
                self._last_act[told.target] = time  # what it has sent may still be on its way to the router
                control.stream_over(time, index, chosen)

    def _begin(self, instruction: Instruction, pes: np.ndarray, index: int) -> None:
        """A stream instruction begins to act."""
        side, color = ("send", instruction.target) if instruction.kind == "send" else ("take", instruction.source)
        waiting = None
        if self.payloads is not None:
            self.payloads.restart(side, color, pes)
            waiting = self.payloads.into.count[color, pes] if side == "take" else None
        self.streams.start(instruction, pes, waiting)
        if side == "send" or color in self._parked or color in self.fabric.bank.place:
            self._wanted |= self.streams.colors_of(instruction)
        if self.always:
            if (side, color) not in self._entry:
                self._entry[side, color] = np.zeros(self.grid.bits, dtype=np.int32)
            self._entry[side, color][pes] = index

    def _use(self, colors: Iterable[int], time: int = 0) -> None:
        wanted = self.streams.joined(set(colors))
        self._wanted = set()
        self._last_act.update(dict.fromkeys(wanted, time))
        if wanted != set(self.fabric.bank.active) or not self.fabric.bank.live:
            resting = set(self.fabric.bank.active) - wanted
            self.fabric.use(wanted)
            self.streams.use()
            self._parked = {c for c in self._parked | resting if c not in wanted and self.fabric.holds_any(c)}
            state = sum(planes.nbytes for planes in self.fabric.bank.live.values())
            self.peak_state_bytes = max(self.peak_state_bytes, state)

    def _rest(self, time: int) -> bool:
        """Whether any color moved since the last look. Those that have rested for long do not stay live.

        Only an instruction that begins can wake them.
        """
        rested = self.fabric.rested()
        for side in self.streams.sides:
            side.turns.settle()
        for color, rests in zip(self.fabric.bank.active, rested, strict=True):
            if not rests:
                self._last_act[color] = time
        if self.always:
            return not all(rested)
        keep = {c for c in self.fabric.bank.active if time - self._last_act[c] < self._quiet_after}
        joined = self.streams.joined(keep)
        if len(joined) < len(self.fabric.bank.active):
            last = dict(self._last_act)
            self._use(joined, time)
            self._last_act |= last
        return True

    def _outcome(self, time: int) -> Outcome:
        fabric, program = self.fabric, self.program
        fabric.use(())
        if self.control.under_way or any(side.streams for side in self.streams.sides):
            raise WseError(explain(program, fabric, self.control, time - self._quiet_after))
        inside = np.arange(program.rows)[:, None] * self.grid.stride + np.arange(program.cols)
        clock = self.control.clock[inside]
        queues = (fabric.link, fabric.own, fabric.into)
        left = sum(int(queue.held(color).sum()) for queue in queues for color in range(len(program.colors)))
        links = fabric.tally.total()
        return Outcome(
            clock,
            links,
            int(clock.max()),
            self.stepped,
            fabric.crowded,
            left,
            dict(self.control.left_block),
            None if self.payloads is None else self.payloads.memories(),
        )


def find_users(program: FabricProgram) -> dict[tuple[str, int], np.ndarray]:
    """By side and color: the PEs that may ever take it, send it or pass it on, bool ``[rows, cols]``."""
    found: dict[tuple[str, int], np.ndarray] = defaultdict(lambda: np.zeros((program.rows, program.cols), dtype=bool))
    begins = [(place, program.starts == place) for place in np.unique(program.starts[program.starts >= 0]).tolist()]
    for number, tasks in enumerate(program.tasks):
        begins += [(place, program.task_sets == number) for place in tasks]
    for place, pes in begins:
        for told, where in _lists(program.code, place, pes.shape):
            for key in {use for instruction in told for use in _uses(instruction)}:
                found[key][where] |= pes[where]
    return found


def _uses(told: Instruction) -> Iterator[tuple[str, int]]:
    if told.kind in RECEIVING:
        yield "take", told.source
    if told.kind == "send":
        yield "send", told.target
    if told.kind == "recv_op_send":
        yield "pass on", told.target


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

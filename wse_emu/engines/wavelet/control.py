"""Where every PE is in its code: instructions issued, done, waited for; tasks activated and dispatched.

Instructions of most PEs begin and end in step with many others, so PEs are handled as arrays of bits, grouped by
instruction. A calendar holds what is due: streams that begin to act, instructions that are done.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

import numpy as np

from wse_emu.engines.code import MICROTHREADS, Code, FabricProgram, Instruction, Vector
from wse_emu.engines.semantics import datapath_interval, due
from wse_emu.engines.wavelet.planes import Grid
from wse_emu.engines.wavelet.streams import RECEIVING, is_reducing
from wse_emu.engines.wavelet.tasks import Tasks
from wse_emu.errors import WseError

Release = Callable[[Instruction, np.ndarray], None]
"""Stream instructions are done."""
Start = Callable[[Instruction, np.ndarray, int], None]
"""Streams begin to act: the instruction, the PEs' bits, its place in the table."""


ORDER = {"act": 0, "background": 1, "main": 2, "idle": 3, "begin": 4}
"""What is due in one cycle, in the order in which it happens."""
NO_STREAM = ("compute", "wait", "host")


class Calendar:
    """What is due when, in order of time and, at one time, of entry."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._due: dict[int, list[tuple[str, int, np.ndarray]]] = {}

    def add(self, time: int, what: str, index: int, pes: np.ndarray) -> None:
        if time not in self._due:
            heappush(self._times, time)
            self._due[time] = []
        self._due[time].append((what, index, pes))

    @property
    def next(self) -> int | None:
        return self._times[0] if self._times else None

    def until(self, time: int) -> Iterator[tuple[int, list[tuple[str, int, np.ndarray]]]]:
        """(time, what is due then) up to ``time``; what is added meanwhile comes too."""
        while self._times and self._times[0] <= time:
            moment = heappop(self._times)
            yield moment, self._due.pop(moment)


class Control:
    """The PEs' places in their code."""

    def __init__(
        self, program: FabricProgram, grid: Grid, start: np.ndarray, *, begin: Start, release: Release
    ) -> None:
        self.program, self.grid, self.begin, self.release = program, grid, begin, release
        spec, code = program.spec, program.code
        self.spec, self.code = spec, code
        self.last = np.array(code.last, dtype=bool)
        self.axis, self.base = (np.array(a, dtype=np.int64) for a in (code.axis, code.base))
        self.left, self.top, self.width = _corners(code)
        self.first = np.array([*code.first, -1], dtype=np.int64)
        self.calendar = Calendar()
        bits = np.arange(grid.bits)
        self.y, self.x = bits // grid.stride, bits % grid.stride
        self.place = np.full(grid.bits, -1, dtype=np.int64)
        self.at = np.full(grid.bits, -1, dtype=np.int64)
        self.clock = np.zeros(grid.bits, dtype=np.int64)
        self.background = np.zeros(grid.bits, dtype=np.int8)
        self.waiting = np.zeros(grid.bits, dtype=bool)
        self.under_way = 0
        self.left_block: dict[int, int] = {}
        """By place in the script: when the last PE so far was done with it."""
        self._arrived: dict[tuple[int, int, int], list[np.ndarray]] = defaultdict(list)
        self._met = np.zeros(grid.bits, dtype=np.int64)
        self._slow = datapath_interval(spec, program.dtype)
        self.tasks: Tasks | None = None
        self.compute: Callable[[Vector, np.ndarray], None] | None = None
        self._begin_all(start)

    def _begin_all(self, start: np.ndarray) -> None:
        rows, cols = np.nonzero(self.program.starts >= 0)
        pes = rows * self.grid.stride + cols
        self.place[pes] = self.program.starts[rows, cols]
        self.runs = len(pes)
        inside = np.repeat(np.arange(self.program.rows) * self.grid.stride, self.program.cols)
        inside += np.tile(np.arange(self.program.cols), self.program.rows)
        self.clock[inside] = start.ravel()
        self.under_way = len(pes)
        for time in np.unique(start[rows, cols]):
            self.calendar.add(int(time), "begin", -1, pes[start[rows, cols] == time])

    def dispatch(self, time: int, pes: np.ndarray, places: np.ndarray) -> None:
        """Tasks begin on ``pes`` at ``time``, at ``places`` of the script."""
        self.place[pes] = places
        self.under_way += len(pes)
        self.calendar.add(time, "begin", -1, pes)

    def begin_idle(self, start: np.ndarray) -> None:
        """PEs that have tasks but no task 0 wait for them from ``start`` on."""
        rows, cols = np.nonzero((self.program.starts < 0) & (self.program.task_sets >= 0))
        for time in np.unique(start[rows, cols]):
            here = start[rows, cols] == time
            self.calendar.add(int(time), "idle", -1, rows[here] * self.grid.stride + cols[here])

    def events(self, time: int) -> bool:
        """All that is due up to ``time``; whether there was anything."""
        some = False
        for moment, entries in self.calendar.until(time):
            some = True
            self._happen(moment, sorted(entries, key=lambda entry: ORDER[entry[0]]))
            if self.tasks is not None:
                self.tasks.dispatch(moment)
        return some

    def _happen(self, moment: int, entries: list[tuple[str, int, np.ndarray]]) -> None:
        done: list[np.ndarray] = []
        begin: list[np.ndarray] = []
        for what, index, pes in entries:
            if what == "act":
                self.begin(self.code.instructions[index], pes, index)
            elif what == "background":
                done += self._background_done(moment, index, pes)
            elif what == "main":
                self._complete(self.code.instructions[index], pes)
                done.append(pes)
            elif what == "begin":
                begin.append(pes)
            elif self.tasks is not None:
                self.tasks.idle(pes)
        if done:
            self.done(moment, np.concatenate(done))
        for pes in begin:
            self._issue(moment, self._enter(pes), pes)

    def _complete(self, told: Instruction, pes: np.ndarray) -> None:
        """What an instruction leaves when it is done."""
        if told.kind not in NO_STREAM:
            self.release(told, pes)
        elif told.vector is not None and self.compute is not None:
            self.compute(told.vector, pes)

    def done(self, time: int, pes: np.ndarray) -> None:
        """The main threads of ``pes`` have done their instruction at ``time``."""
        self.clock[pes] = np.maximum(self.clock[pes], time)
        at = self.at[pes]
        ends = self.last[at]
        if not ends.all():
            on = ~ends
            self._issue(time, at[on] + 1, pes[on])
            pes = pes[ends]
        if pes.size:
            self._note(time, pes)
            self.place[pes] += 1
            self._issue(time, self._enter(pes), pes)

    def _note(self, time: int, pes: np.ndarray) -> None:
        places = self.place[pes]
        if (places == places[0]).all():
            self.left_block[int(places[0])] = time
        else:
            self.left_block.update(dict.fromkeys(np.unique(places).tolist(), time))

    def _enter(self, pes: np.ndarray) -> np.ndarray:
        """The first instruction of each PE from its place in the script on; −1 where its task ends."""
        found = np.full(pes.shape, -1, dtype=np.int64)
        looking = np.arange(len(pes))
        while looking.size:
            looking = looking[self.axis[self.place[pes[looking]]] != Code.END]
            bits = pes[looking]
            found[looking] = self.first[self._entry(self.place[bits], bits)]
            looking = looking[found[looking] < 0]
            self.place[pes[looking]] += 1
        return found

    def _entry(self, place: np.ndarray, bits: np.ndarray) -> np.ndarray:
        """Where the tables hold the entry of each PE for its block."""
        axis = self.axis[place]
        x, y = self.x[bits] - self.left[place], self.y[bits] - self.top[place]
        along = np.select([axis == Code.ALONG_X, axis == Code.ALONG_Y], [x, y], 0)
        both = axis == Code.IN_REGION
        if both.any():
            along[both] = (y * self.width[place] + x)[both]
        return np.asarray(self.base[place] + along)

    def _issue(self, time: int, at: np.ndarray, pes: np.ndarray) -> None:
        """Issue the instructions ``at`` on ``pes``; −1: the task has ended."""
        self.at[pes] = at
        if (at == at[0]).all():
            self._issue_one(time, int(at[0]), pes)
            return
        for index in np.unique(at).tolist():
            self._issue_one(time, index, pes[at == index])

    def _issue_one(self, time: int, index: int, pes: np.ndarray) -> None:
        if index < 0:
            self.under_way -= len(pes)
            if self.tasks is not None:
                self.tasks.idle(pes)
            return
        told = self.code.instructions[index]
        if told.kind == "compute":
            self._occupy(time, told, pes)
            self.calendar.add(time + told.wavelets, "background" if told.background else "main", index, pes)
            if told.background:
                self.done(time, pes)
        elif told.kind == "host":
            self._meet(time, told, pes)
        elif told.kind == "wait":
            busy = self.background[pes] > 0
            self.waiting[pes[busy]] = True
            if not busy.all():
                self.done(time, pes[~busy])
        elif told.wavelets == 0:
            if self.tasks is not None and told.activates >= 0:
                self.tasks.activate(told.activates, pes)
            self.done(time, pes)
        else:
            self._issue_stream(time, index, told, pes)

    def _issue_stream(self, time: int, index: int, told: Instruction, pes: np.ndarray) -> None:
        interval = self._slow if is_reducing(told) else self.spec.link_interval
        self._occupy(time, told, pes)
        self.calendar.add(time + self.spec.stream_setup + due(1, interval), "act", index, pes)
        if told.background:
            self.done(time, pes)

    def _occupy(self, time: int, told: Instruction, pes: np.ndarray) -> None:
        """A background instruction takes a microthread."""
        if told.background:
            if (self.background[pes] >= MICROTHREADS).any():
                pe = self.program.place(self.flat(int(pes[self.background[pes] >= MICROTHREADS][0])))
                raise WseError(
                    f"PE {pe} has more than {MICROTHREADS} background instructions under way in cycle {time}; "
                    "a `wait` between them works"
                )
            self.background[pes] += 1

    def stream_over(self, time: int, index: int, pes: np.ndarray) -> None:
        """The last wavelet of the stream instruction ``index`` was taken or sent at ``time``."""
        told = self.code.instructions[index]
        spec = self.spec
        if told.kind in RECEIVING:
            time += spec.receive_cycles if told.kind == "recv" else spec.combine_cycles
        self.calendar.add(time, "background" if told.background else "main", index, pes)

    def _background_done(self, time: int, index: int, pes: np.ndarray) -> list[np.ndarray]:
        """Returns the PEs whose `wait` is over."""
        self._complete(self.code.instructions[index], pes)
        self.clock[pes] = np.maximum(self.clock[pes], time)
        self.background[pes] -= 1
        if self.tasks is not None and self.code.instructions[index].activates >= 0:
            self.tasks.activate(self.code.instructions[index].activates, pes)
        over = pes[self.waiting[pes] & (self.background[pes] == 0)]
        self.waiting[over] = False
        return [over] if over.size else []

    def _meet(self, time: int, told: Instruction, pes: np.ndarray) -> None:
        """The k-th `host` of a PE meets the k-th of the others: of all, or of those with its script."""
        self._met[pes] += 1
        scripts = self.program.starts.ravel()[[self.flat(int(pe)) for pe in pes]] if told.meets else np.zeros(len(pes))
        keys = np.stack([self._met[pes], scripts.astype(np.int64)])
        for count, script in np.unique(keys, axis=1).T.tolist():
            arrived = self._arrived[count, script, told.meets]
            arrived.append(pes[(keys[0] == count) & (keys[1] == script)])
            if sum(map(len, arrived)) == (told.meets or self.runs):
                together = np.concatenate(arrived)
                for index in np.unique(self.at[together]).tolist():
                    until = time + self.code.instructions[index].wavelets
                    self.calendar.add(until, "main", index, together[self.at[together] == index])
                del self._arrived[count, script, told.meets]

    def flat(self, bit: int) -> int:
        """The index of a bit among the PEs of the box."""
        return bit // self.grid.stride * self.program.cols + bit % self.grid.stride


def _corners(code: Code) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every block: where its places begin along x and y, and how wide its region is."""
    left, top, width = np.zeros((3, len(code.axis)), dtype=np.int64)
    for i, (axis, origin, region) in enumerate(zip(code.axis, code.origin, code.region, strict=True)):
        if axis == Code.ALONG_X:
            left[i] = origin
        elif axis == Code.ALONG_Y:
            top[i] = origin
        elif region is not None:
            left[i], top[i], width[i] = region.x, region.y, region.width
    return left, top, width

"""The machine of docs/machine.md, written down as slowly and plainly as it goes: one object per router, PE and queue.

Every cycle has three steps: all decide on the state that the cycle before left; all that was decided happens; the PEs
retire what is done, issue what is next and dispatch tasks, which only shows in the decisions of the next cycle.
"""

import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wse_emu.engines.code import COMMANDS, MICROTHREADS, RAMP, Code, FabricProgram, Instruction, port
from wse_emu.errors import WseError
from wse_emu.fabric.directions import DIRECTIONS, Direction

RECEIVING = ("recv", "recv_op", "recv_op_send")
STREAMS = (*RECEIVING, "send")
NEVER = -1
OPPOSITE = {port(direction): port(direction.opposite) for direction in DIRECTIONS}
WAYS = (*OPPOSITE, RAMP)
QUIET = 200


@dataclass
class Finished:
    """What is left to see after a run."""

    clock: np.ndarray
    """int64 ``[rows, cols]``: when each PE's last instruction was done; its start if it ran none."""
    links: np.ndarray
    """int64 ``[E W N S, rows, cols]``: wavelets that left each PE that way."""
    memory: np.ndarray | None
    left_over: int
    """Wavelets that are still in queues."""
    deadlocked: bool
    """Whether an instruction is still under way."""
    takes: list[tuple[int, int, int, int]]
    """(cycle, row, column, color) of every wavelet that a PE took from an `in` queue, sorted."""


@dataclass(frozen=True)
class Wavelet:
    word: int
    control: bool = False

    @property
    def command(self) -> str:
        code = (self.word >> 8) & 7
        return COMMANDS[code] if code < len(COMMANDS) else "nop"

    def popped(self) -> "Wavelet":
        return Wavelet((self.word & 0xFF) | ((self.word >> 11) << 8), control=True)


class Queue:
    """First in, first out; what is still on its way counts."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.items: deque[tuple[int, Wavelet]] = deque()

    @property
    def room(self) -> bool:
        return len(self.items) < self.capacity

    def head(self, t: int) -> Wavelet | None:
        """The first wavelet, if it is at hand at ``t``."""
        return self.items[0][1] if self.items and self.items[0][0] <= t else None

    def push(self, at_hand: int, wavelet: Wavelet) -> None:
        self.items.append((at_hand, wavelet))

    def pop(self) -> Wavelet:
        return self.items.popleft()[1]


class Pace:
    """Keeps one interval: n, or (b + 1) / b cycles a wavelet."""

    def __init__(self, interval: Fraction) -> None:
        self.interval = Fraction(interval)
        assert self.interval.numerator - self.interval.denominator == 1 or self.interval.denominator == 1
        self.last: int | None = None
        self.run = 0

    def allows(self, t: int) -> bool:
        if self.last is None:
            return True
        if self.interval.denominator == 1:
            return t - self.last >= self.interval
        return t - self.last > 1 or self.run < self.interval.denominator

    def move(self, t: int) -> None:
        self.run = self.run + 1 if self.last == t - 1 else 1
        self.last = t


@dataclass(eq=False)
class Thread:
    """An instruction under way."""

    told: Instruction
    opens: int
    """The first cycle in which it may take or send."""
    left: int
    moved: int = 0
    to_let_in: int | None = None
    """Wavelets that the router may still give the PE for it; known once it begins to act."""
    done: int | None = None
    meeting: "Meeting | None" = None

    def open(self, t: int) -> bool:
        return self.left > 0 and self.opens <= t

    @property
    def colors(self) -> set[tuple[str, int]]:
        """The colors that it receives and sends."""
        found = {("in", self.told.source)} if self.told.kind in RECEIVING else set()
        return found | ({("out", self.told.target)} if self.told.kind in {"send", "recv_op_send"} else set())


@dataclass(eq=False)
class Meeting:
    """The PEs that come to one `host`."""

    missing: int
    opened: int | None = None


class Router:
    """The router of one PE, with its `link` queues."""

    def __init__(self, pe: "Pe") -> None:
        self.pe, self.spec, self.colors = pe, pe.spec, pe.program.colors
        self.place = (pe.row, pe.col)
        self.neighbours: dict[int, Router] = {}
        """By port."""
        self.seams = beside_seams(pe.program, pe.row, pe.col)
        """The directions, as ports, in which a link of this router crosses a seam."""
        room = self.spec.hop_cycles + 1 + (self.spec.seam_cycles if self.seams else 0)
        self.link = [Queue(room) for _ in self.colors]
        self.position = [int(color.initial[self.place]) for color in self.colors]
        self.closed = [False for _ in self.colors]
        self.counted = [0 for _ in self.colors]
        self.last = [NEVER for _ in self.colors]
        self.pace = {way: Pace(self.spec.link_interval) for way in WAYS}
        self.sent = dict.fromkeys(WAYS, 0)

    def inputs(self, c: int) -> int:
        return 0 if self.closed[c] else int(self.colors[c].inputs[(self.position[c], *self.place)])

    def outputs(self, c: int) -> int:
        return 0 if self.closed[c] else int(self.colors[c].outputs[(self.position[c], *self.place)])

    def source(self, c: int, t: int) -> Queue | None:
        """The queue that holds the head of color ``c``."""
        queues = [self.link[c]] * bool(self.inputs(c) & ~RAMP) + [self.pe.out[c]] * bool(self.inputs(c) & RAMP)
        queues = [queue for queue in queues if queue.head(t) is not None]
        if len(queues) > 1:
            x, y = self.pe.program.place(self.pe.number)
            raise WseError(f"{self.pe.program.color_name(c)} has two inputs at PE ({x}, {y}) in cycle {t}")
        return queues[0] if queues else None

    def goes_to(self, c: int, wavelet: Wavelet) -> int:
        """The outputs that ``wavelet`` takes: without RAMP if the filter refuses it."""
        outputs = self.outputs(c)
        told = self.colors[c].filters.get(self.place)
        if told is None or wavelet.control or not outputs & RAMP:
            return outputs
        if told.period > 0:
            passes = (told.start + self.counted[c]) % told.period < told.limit
        else:
            passes = told.low <= wavelet.word >> 16 <= told.high
        return outputs if passes else outputs & ~RAMP

    def behind(self, c: int, way: int) -> Queue:
        return self.pe.into[c] if way == RAMP else self.neighbours[way].link[c]

    def free(self, c: int, way: int, t: int) -> bool:
        """Whether a wavelet of color ``c`` may go to the output ``way``."""
        accepts = way == RAMP or (way in self.neighbours and self.neighbours[way].inputs(c) & OPPOSITE[way])
        if way == RAMP and not self.pe.lets_in(c, t):
            return False
        return bool(accepts) and self.pace[way].allows(t) and self.behind(c, way).room

    def decide(self, t: int) -> list[tuple[int, int, Queue]]:
        """(color, outputs, source) of all that move in cycle ``t``."""
        able = []
        for c in range(len(self.colors)):
            source = self.source(c, t)
            head = None if source is None else source.head(t)
            if source is None or head is None:
                continue
            outputs = self.goes_to(c, head)
            if all(self.free(c, way, t) for way in WAYS if outputs & way):
                able.append((c, outputs, source))
        able.sort(key=lambda move: (self.last[move[0]], move[0]))
        return [move for i, move in enumerate(able) if not any(move[1] & before[1] for before in able[:i])]

    def move(self, c: int, outputs: int, source: Queue, t: int) -> None:
        wavelet = source.pop()
        self.last[c] = t
        if not wavelet.control and self.outputs(c) & RAMP:
            self.counted[c] += 1
        if wavelet.control:
            wavelet = self.obey(c, wavelet)
        for way in WAYS:
            if outputs & way:
                takes = self.spec.ramp_cycles if way == RAMP else self.spec.hop_cycles
                takes += self.spec.seam_cycles if way in self.seams else 0
                self.behind(c, way).push(t + takes, wavelet)
                if way == RAMP:
                    self.pe.let_in(c, t)
                self.pace[way].move(t)
                self.sent[way] += 1

    def obey(self, c: int, wavelet: Wavelet) -> Wavelet:
        """Do the first command of a control wavelet; what goes on of it."""
        color, command = self.colors[c], wavelet.command
        if command == "advance":
            if self.position[c] < color.last[self.place]:
                self.position[c] += 1
            elif color.ring:
                self.position[c] = 0
        elif command == "reset":
            self.position[c] = int(color.initial[self.place])
        elif command == "teardown":
            self.closed[c] = True
        pops = color.pop == "always" or (color.pop == "on_advance" and command == "advance")
        return wavelet.popped() if pops else wavelet


class Pe:
    """One processing element: its `out` and `in` queues, its threads and its tasks."""

    def __init__(self, machine: "Machine", row: int, col: int, start: int) -> None:
        self.machine, self.row, self.col = machine, row, col
        program = self.program = machine.program
        self.spec, self.code = program.spec, program.code
        self.number = row * program.cols + col
        self.set = 0 if program.task_set is None else int(program.task_set[row, col])
        place = int(program.starts[row, col])
        self.runs = place >= 0
        places = program.tasks[self.set] if 0 <= self.set < len(program.tasks) else []
        self.tasks = [self.listing(task) for task in places]
        self.todo = deque(self.listing(place) if self.runs else [])
        """What is left to issue of the running task."""
        fed = {told.target for task in [self.todo, *self.tasks] for told in task if told.kind == "recv_op_send"}
        self.into = [Queue(machine.depth("in", color.queue) + self.spec.ramp_cycles) for color in program.colors]
        self.out = [
            Queue(machine.depth("out", color.queue) + self.spec.ramp_cycles + self.spec.combine_cycles * (c in fed))
            for c, color in enumerate(program.colors)
        ]
        self.memory = None if machine.memory is None else machine.memory[row, col]
        self.takes, self.sends = Pace(self.spec.link_interval), Pace(self.spec.link_interval)
        self.main: Thread | None = None
        self.background: list[Thread] = []
        self.running = self.runs
        self.begins = self.start = start
        """When the first instruction of the running task is issued."""
        self.activated: set[int] = set()
        self.dispatches = 0
        self.meetings = 0
        self.clock = start
        self.last_take = [NEVER for _ in program.colors]
        self.last_send = [NEVER for _ in program.colors]

    def listing(self, s: int) -> list[Instruction]:
        """All instructions of the task that begins at place ``s`` of the script."""
        told: list[Instruction] = []
        while (axis := self.code.axis[s]) != Code.END:
            place = {Code.ALONG_X: self.col, Code.ALONG_Y: self.row}.get(axis, self.code.origin[s])
            index = self.code.first[self.code.base[s] + place - self.code.origin[s]]
            while index >= 0:
                told.append(self.code.instructions[index])
                index = -1 if self.code.last[index] else index + 1
            s += 1
        return told

    # Decisions

    def threads(self) -> list[Thread]:
        return ([self.main] if self.main is not None else []) + self.background

    def begin_acting(self, t: int) -> None:
        """Instructions that begin to act in ``t`` bind their colors."""
        for thread in self.threads():
            if thread.told.kind in STREAMS and thread.opens == t:
                others = [
                    one for one in self.threads() if one is not thread and one.told.kind in STREAMS and one.opens <= t
                ]
                if any(one.colors & thread.colors for one in others):
                    raise WseError(
                        f"two instructions of PE {self.program.place(self.number)} use one color in cycle {t}"
                    )
                if thread.told.kind in RECEIVING:
                    thread.to_let_in = max(0, thread.left - len(self.into[thread.told.source].items))

    def task_bound(self, c: int) -> bool:
        return (self.set, c) in self.program.on_data or (self.set, c) in self.program.on_control

    def lets_in(self, c: int, t: int) -> bool:
        """Whether the router may give the PE a wavelet of color ``c``."""
        receivers = [one for one in self.threads() if one.told.kind in RECEIVING and one.open(t)]
        return self.task_bound(c) or any(one.told.source == c and one.to_let_in for one in receivers)

    def let_in(self, c: int, t: int) -> None:
        for one in self.threads():
            if one.told.kind in RECEIVING and one.told.source == c and one.to_let_in and not self.task_bound(c):
                one.to_let_in -= 1

    def allows(self, pace: Pace, threads: list[Thread], t: int) -> bool:
        """Whether the datapath of ``threads`` is ready; they keep both intervals if one of them reduces."""
        gap = self.machine.reducing_gap if any(reduces(one.told) and one.open(t) for one in threads) else 1
        return pace.allows(t) and (pace.last is None or t - pace.last >= gap)

    def decide(self, t: int) -> tuple[Thread | None, Thread | None]:
        """The threads that take and send in cycle ``t``: of several, the one whose color's last turn is longer ago."""
        receivers = [thread for thread in self.threads() if thread.told.kind in RECEIVING]
        able = [thread for thread in receivers if thread.open(t) and self.can_take(thread.told, t)]
        able.sort(key=lambda one: (self.last_take[one.told.source], one.told.source))
        taker = able[0] if able and self.allows(self.takes, receivers, t) else None
        kept = taker.told.target if taker is not None and taker.told.kind == "recv_op_send" else NEVER
        senders = [thread for thread in self.threads() if thread.told.kind == "send"]
        able = [one for one in senders if one.open(t) and self.out[one.told.target].room and one.told.target != kept]
        able.sort(key=lambda one: (self.last_send[one.told.target], one.told.target))
        sender = able[0] if able and self.allows(self.sends, senders, t) else None
        return taker, sender

    def can_take(self, told: Instruction, t: int) -> bool:
        at_hand = self.into[told.source].head(t) is not None
        return at_hand and (told.kind != "recv_op_send" or self.out[told.target].room)

    # What happens

    def send(self, thread: Thread, t: int) -> None:
        told, word = thread.told, 0
        if self.memory is not None and told.operand is not None:
            word = int(self.memory[told.operand.address + thread.moved * told.operand.stride])
        wavelet = Wavelet(told.control, control=True) if told.control >= 0 else Wavelet(word)
        self.out[told.target].push(t + self.spec.ramp_cycles, wavelet)
        self.sends.move(t)
        self.last_send[told.target] = t
        thread.moved, thread.left = thread.moved + 1, thread.left - 1
        if not thread.left:
            thread.done = t

    def take(self, thread: Thread, t: int) -> None:
        told = thread.told
        wavelet = self.into[told.source].pop()
        self.machine.takes.append((t, self.row, self.col, told.source))
        self.takes.move(t)
        self.last_take[told.source] = t
        if wavelet.control:
            thread.left = 0
        else:
            self.use(thread, wavelet.word, t)
            thread.moved, thread.left = thread.moved + 1, thread.left - 1
        if not thread.left:
            thread.done = t + (self.spec.receive_cycles if told.kind == "recv" else self.spec.combine_cycles)

    def use(self, thread: Thread, word: int, t: int) -> None:
        """Store, combine or send on what has been taken."""
        told = thread.told
        if self.memory is not None and told.operand is not None:
            address = told.operand.address + thread.moved * told.operand.stride
            if told.kind != "recv":
                word = combine(told.operand.combine, word, int(self.memory[address]))
            if told.kind != "recv_op_send":
                self.memory[address] = word
        if told.kind == "recv_op_send":
            self.out[told.target].push(t + self.spec.combine_cycles + self.spec.ramp_cycles, Wavelet(word))

    def settle(self, t: int) -> bool:
        """Retire, issue and dispatch all that can be in cycle ``t``; whether anything was."""
        changed = False
        while self.settle_once(t):
            changed = True
        return changed

    def settle_once(self, t: int) -> bool:
        for thread in self.threads():
            if thread.meeting is not None and thread.meeting.opened is not None:
                thread.done = thread.meeting.opened + thread.told.wavelets
            elif thread.told.kind == "wait" and not self.background:
                thread.done = t
            if thread.done is not None and thread.done <= t:
                self.retire(thread)
                return True
        if self.main is not None or (self.running and t < self.begins):
            return False
        if not self.running:
            return self.dispatch(t)
        if not self.todo:
            self.running = False
        elif self.todo[0].background and len(self.background) == MICROTHREADS:
            raise WseError(f"PE {self.program.place(self.number)} needs a ninth microthread in cycle {t}")
        else:
            self.issue(self.todo.popleft(), t)
        return True

    def retire(self, thread: Thread) -> None:
        assert thread.done is not None
        self.clock = max(self.clock, thread.done)
        if thread is self.main:
            self.main = None
        else:
            self.background.remove(thread)
        if thread.told.activates >= 0:
            self.activated.add(thread.told.activates)

    def issue(self, told: Instruction, t: int) -> None:
        first = max(math.ceil(self.spec.link_interval), self.machine.reducing_gap if reduces(told) else 1)
        thread = Thread(told, t + self.spec.stream_setup + first, told.wavelets)
        if told.kind in STREAMS:
            thread.left = 1 if told.control >= 0 else told.wavelets
            thread.done = None if thread.left else t
        elif told.kind == "compute":
            thread.done = t + told.wavelets
        elif told.kind == "host":
            thread.meeting = meeting = self.machine.meeting(self.meetings, told)
            meeting.missing -= 1
            meeting.opened = t if not meeting.missing else None
            self.meetings += 1
        if told.background:
            self.background.append(thread)
        else:
            self.main = thread

    def dispatch(self, t: int) -> bool:
        """Begin a task on the idle PE: an activated one, else one whose wavelet is at hand."""
        if t < self.start:
            return False
        if self.activated:
            ready = sorted(self.activated)
            mixed = self.machine.seed * 0x9E3779B1 + self.number * 0x85EBCA77 + self.dispatches * 0xC2B2AE3D
            task = ready[(mixed & 0xFFFFFFFF) % len(ready)]
            self.dispatches += 1
            self.activated.remove(task)
            self.begin(task, t)
            return True
        for c, queue in enumerate(self.into):
            head = queue.head(t)
            bound = self.program.on_control if head is not None and head.control else self.program.on_data
            if head is None or (self.set, c) not in bound:
                continue
            queue.pop()
            self.machine.takes.append((t, self.row, self.col, c))
            if self.memory is not None and (self.set, c) in self.program.arguments:
                self.memory[self.program.arguments[self.set, c]] = head.word & 0xFF if head.control else head.word
            self.begin(bound[self.set, c], t)
            return True
        return False

    def begin(self, task: int, t: int) -> None:
        self.running, self.begins, self.todo = True, t + self.spec.task_cycles, deque(self.tasks[task])


class Machine:
    """All PEs and routers of one program, and what they share."""

    def __init__(self, program: FabricProgram, start: np.ndarray, seed: int, depths: tuple[int, int] | None) -> None:
        self.program, self.seed, self.depths = program, seed, depths
        self.memory = None if program.memory is None else program.memory.copy()
        self.takes: list[tuple[int, int, int, int]] = []
        self.known: dict[tuple[int, int], Meeting] = {}
        add = 1 / Fraction(program.spec.rates["add_float32"])
        self.reducing_gap = math.ceil(add) if add > program.spec.link_interval else 1
        """Cycles from one wavelet of a reduction to the next, where that is more than the links ask for."""
        places = [(row, col) for row in range(program.rows) for col in range(program.cols)]
        self.pes = [Pe(self, row, col, int(start[row, col])) for row, col in places]
        self.routers = {place: Router(pe) for place, pe in zip(places, self.pes, strict=True)}
        for (row, col), router in self.routers.items():
            for direction in DIRECTIONS:
                dx, dy = direction.step
                if (row + dy, col + dx) in self.routers:
                    router.neighbours[port(direction)] = self.routers[row + dy, col + dx]

    def depth(self, side: str, queue: int) -> int:
        """The depth of an input or output queue; ``depths`` (input, output) replaces those of the wafer."""
        if self.depths is not None:
            return self.depths[side == "out"]
        spec = self.program.spec
        return (spec.input_queue_words if side == "in" else spec.output_queue_words)[queue // 2]

    def meeting(self, number: int, told: Instruction) -> Meeting:
        """Where a PE meets the others that come to their `host` with this ``number``."""
        everybody = sum(pe.runs for pe in self.pes)
        return self.known.setdefault((number, told.meets), Meeting(told.meets or everybody))

    def cycle(self, t: int) -> bool:
        """All of cycle ``t``; whether anything happened."""
        for pe in self.pes:
            pe.begin_acting(t)
        moves = [(router, router.decide(t)) for router in self.routers.values()]
        acts = [(pe, pe.decide(t)) for pe in self.pes]
        for router, decided in moves:
            for move in decided:
                router.move(*move, t)
        for pe, (taker, sender) in acts:
            if sender is not None:
                pe.send(sender, t)
            if taker is not None:
                pe.take(taker, t)
        busy = any(decided for _, decided in moves) or any(acting != (None, None) for _, acting in acts)
        while sum(pe.settle(t) for pe in self.pes):  # all of them, and again for those who meet at a `host`
            busy = True
        return busy

    def next_time(self, t: int) -> int | None:
        """The next cycle in which a clock alone makes something happen."""
        times = [pe.begins for pe in self.pes if pe.running] + [pe.start for pe in self.pes]
        times += [thread.done for pe in self.pes for thread in pe.threads() if thread.done is not None]
        return min((time for time in times if time > t), default=None)


def beside_seams(program: FabricProgram, row: int, col: int) -> set[int]:
    """The directions, as ports, in which the PE's links cross a seam between dies."""
    spec, x, y = program.spec, program.corner[0] + col, program.corner[1] + row
    inside = {
        Direction.NORTH: row > 0 and y in spec.row_seams,
        Direction.SOUTH: row + 1 < program.rows and y + 1 in spec.row_seams,
        Direction.WEST: col > 0 and x in spec.column_seams,
        Direction.EAST: col + 1 < program.cols and x + 1 in spec.column_seams,
    }
    return {port(direction) for direction, crosses in inside.items() if crosses}


def reduces(told: Instruction) -> bool:
    return told.kind in {"recv_op", "recv_op_send"} or (told.kind == "send" and told.reducing)


def combine(name: str, arriving: int, mine: int) -> int:
    """Two 32-bit patterns into one."""
    if name == "add_int32":
        return (mine + arriving) & 0xFFFFFFFF
    left, right = (np.uint32(word).view(np.float32) for word in (arriving, mine))
    with np.errstate(all="ignore"):
        made = left + right if name == "add_float32" else np.maximum(left, right)
    return int(np.float32(made).view(np.uint32))


def simulate(
    program: FabricProgram, start: np.ndarray | None = None, seed: int = 0, depths: tuple[int, int] | None = None
) -> Finished:
    """Run ``program`` from ``start`` (cycles ``[rows, cols]``, else 0) until nothing can ever move."""
    shape = (program.rows, program.cols)
    machine = Machine(program, np.zeros(shape, dtype=np.int64) if start is None else start, seed, depths)
    spec = program.spec
    slack = QUIET + machine.reducing_gap
    slack += spec.stream_setup + spec.hop_cycles + spec.seam_cycles + spec.ramp_cycles + spec.combine_cycles
    t, busy = 0, 0
    while True:
        if machine.cycle(t):
            busy = t
        if t - busy <= slack:
            t += 1
        elif (later := machine.next_time(t)) is not None:
            t = later  # all else has come to rest
        else:
            break
    queues = [queue for pe in machine.pes for queue in pe.into + pe.out]
    queues += [queue for router in machine.routers.values() for queue in router.link]
    links = [[router.sent[port(direction)] for router in machine.routers.values()] for direction in DIRECTIONS]
    return Finished(
        clock=np.array([pe.clock for pe in machine.pes], dtype=np.int64).reshape(shape),
        links=np.array(links, dtype=np.int64).reshape(4, *shape),
        memory=machine.memory,
        left_over=sum(len(queue.items) for queue in queues),
        deadlocked=any(pe.threads() for pe in machine.pes),
        takes=sorted(machine.takes),
    )

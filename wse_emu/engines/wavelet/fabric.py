"""The routers and queues of all PEs and colors as bit planes, one cycle at a time; ``docs/machine.md`` is the
definition.

Only colors on which something happens are *live*: their planes lie together in small arrays ``[…, live, words]``, so
that a cycle is a fixed, short list of operations on whole arrays. The others rest in the *home* arrays ``[…, colors,
words]``.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from wse_emu.engines.code import Color, FabricProgram
from wse_emu.engines.wavelet.planes import Grid, Plane, RunLimit, Tally, Turns, nonzero, some, step_by_one
from wse_emu.errors import WseError
from wse_emu.fabric.directions import DIRECTIONS, Direction
from wse_emu.fabric.routes import RAMP, port

RAMP_OUT, TAKES, SENDS = 4, 5, 6


class Bank:
    """Named arrays of planes, ``[…, color, words]``: at home for all colors, and copies of those that are live.

    Arrays that are added as ``sparse`` matter only where PEs put wavelets into the fabric; live ones hold just
    :attr:`words` of their planes where those are few.
    """

    def __init__(self, grid: Grid, colors: int) -> None:
        self.grid, self.colors = grid, colors
        self.home: dict[str, np.ndarray] = {}
        self.live: dict[str, np.ndarray] = {}
        self.active: list[int] = []
        self.place: dict[int, int] = {}
        self.words: np.ndarray | None = None
        self._sparse: set[str] = set()

    def add(self, name: str, *lead: int, sparse: bool = False) -> np.ndarray:
        """A new array of zeros, and its home."""
        self.home[name] = self.grid.zeros(*lead, self.colors)
        if sparse:
            self._sparse.add(name)
        return self.home[name]

    def use(self, colors: Iterable[int], words: np.ndarray | None = None) -> None:
        """Make ``colors`` the live ones, and ``words`` (None: all) those that sparse arrays hold."""
        for name, live in self.live.items():
            if live.shape[-2]:
                self.home[name][self._where(name)] = live
        self.active = sorted(colors)
        self.place = {color: place for place, color in enumerate(self.active)}
        self.words = words
        self.live = {name: np.ascontiguousarray(home[self._where(name)]) for name, home in self.home.items()}

    def _where(self, name: str) -> Any:
        if name in self._sparse and self.words is not None:
            return (..., np.array(self.active, dtype=np.intp)[:, None], self.words)
        return (..., self.active, slice(None))

    def view(self, name: str, color: int) -> np.ndarray:
        """The planes of one color, live or at home, to read or to change in place; not of sparse arrays."""
        if color in self.place:
            return self.live[name][..., self.place[color], :]
        return self.home[name][..., color, :]


class Queue:
    """One queue per PE and color: how many wavelets are at hand, how many places are free, what is under way."""

    def __init__(self, name: str, bank: Bank, room: np.ndarray, delay: int, *, sparse: bool = False) -> None:
        """``room``: capacity, int ``[colors, rows, cols]``; ``delay``: most cycles that a wavelet is under way."""
        self._bank = bank
        self._at_hand, self._free, self._coming, self._size = (f"{name} {part}" for part in _PARTS)
        bits = max(1, int(room.max(initial=1)).bit_length())
        self._slots = delay + 1
        bank.add(self._at_hand, bits, sparse=sparse)
        bank.add(self._coming, self._slots, sparse=sparse)
        for part in (self._free, self._size):
            home = bank.add(part, bits, sparse=sparse)
            for place in range(bits):
                home[place] = bank.grid.pack((room >> place & 1).astype(bool))

    def use(self) -> None:
        """Other colors are live."""
        shape = self._bank.live[self._coming].shape[1:]
        self.head, self.room, self._change, self._carry = np.zeros((4, *shape), dtype=np.uint64)

    def look(self, time: int) -> None:
        """Heads and room of cycle ``time``."""
        live = self._bank.live
        self.arriving = live[self._coming][time % self._slots]
        nonzero(live[self._at_hand], self.head)
        np.bitwise_or(self.head, self.arriving, out=self.head)
        nonzero(live[self._free], self.room)

    def step(self, left: Plane, entered: Plane) -> None:
        """``left`` go out and ``entered`` take a place, all of them in this cycle."""
        live = self._bank.live
        step_by_one(live[self._at_hand], self.arriving, left, self._change, self._carry)
        step_by_one(live[self._free], left, entered, self._change, self._carry)
        self.arriving[...] = 0

    def holds_one(self) -> Plane:
        """Where exactly one wavelet is in the queue or under way to it, ``[live, words]``."""
        live, other = self._bank.live, self._carry
        # the number of free places is one less than the size: their difference in two's complement is 1
        borrow = self._change
        borrow[...] = 0
        found = np.zeros_like(other)
        for place, (size, free) in enumerate(zip(live[self._size], live[self._free], strict=True)):
            np.bitwise_xor(size, free, out=other)
            digit = other ^ borrow
            borrow = (~size & free) | (~other & borrow)
            found = digit if place == 0 else found & ~digit
        return np.asarray(found)

    def coming(self, time: int) -> np.ndarray:
        """What will be at hand at ``time``, to be added to."""
        return np.asarray(self._bank.live[self._coming][time % self._slots])

    def at_head(self) -> Plane:
        """Where a wavelet is at hand after this cycle's steps, ``[live, words]``."""
        return nonzero(self._bank.live[self._at_hand])

    def take(self, left: Plane) -> None:
        """More go out in this cycle, ``[live, words]``."""
        live = self._bank.live
        nothing = np.zeros_like(left)
        step_by_one(live[self._at_hand], nothing, left, self._change, self._carry)
        step_by_one(live[self._free], left, nothing, self._change, self._carry)

    def holds_any(self, color: int) -> bool:
        """Whether there is a wavelet of ``color``, which rests."""
        home = self._bank.home
        return not np.array_equal(home[self._free][:, color], home[self._size][:, color])

    def held(self, color: int) -> np.ndarray:
        """Wavelets in the queues of ``color``, under way or at hand, int64 ``[rows, cols]``."""
        parts = [self._bank.view(name, color) for name in (self._size, self._free)]
        counts = [sum(self._bank.grid.unpack(p).astype(np.int64) << i for i, p in enumerate(part)) for part in parts]
        return np.asarray(counts[0] - counts[1])

    def at_hand(self, color: int) -> np.ndarray:
        """Wavelets at the head of which something can be done, int64 ``[rows, cols]``."""
        planes = self._bank.view(self._at_hand, color)
        return np.asarray(sum(self._bank.grid.unpack(p).astype(np.int64) << i for i, p in enumerate(planes)))


_PARTS = ("at hand", "free", "coming", "size")


class Fabric:
    """Routers and queues. Call :meth:`look`, let the PEs decide, then :meth:`route`, then :meth:`step`."""

    def __init__(self, program: FabricProgram, grid: Grid, fed: dict[int, np.ndarray]) -> None:
        """``fed``: by color, where a `recv_op_send` feeds the out queue, bool ``[rows, cols]``."""
        self.program, self.grid, self.spec = program, grid, program.spec
        self.bank = bank = Bank(grid, len(program.colors))
        spec, colors = program.spec, program.colors
        shape = (len(colors), program.rows, program.cols)
        ways = spec.hop_cycles, spec.ramp_cycles, spec.combine_cycles
        hop, ramp, combine = ways
        own, into = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for i, color in enumerate(colors):
            own[i] = spec.output_queue_words[color.queue // 2] + ramp
            own[i] += combine * fed.get(i, np.zeros(shape[1:], dtype=bool))
            into[i] = spec.input_queue_words[color.queue // 2] + ramp
        self.seam = spec.seam_cycles if any(program.seams) else 0
        """What a hop takes longer where ``over_seam`` by the way it goes; 0: no seam in the box."""
        self.over_seam, beside = self._seams()
        self.link = Queue("link", bank, np.full(shape, hop + 1) + self.seam * beside, hop + self.seam)
        self.own = Queue("own", bank, own, ramp + combine, sparse=True)
        self.into = Queue("in", bank, into, ramp)
        self.limit = RunLimit(spec.link_interval, 7, grid.words)
        """Of the four links, the ramp to the PE, and the PE's taking and sending."""
        self.used = grid.zeros(7)
        """What moved there in this cycle."""
        self.tally = Tally(grid, 4)
        self._routes(colors)
        bank.add("since")
        self.crowded = 0
        """Stretches of 16 cycles in which somewhere a wavelet waited for a link that another color had."""
        self._stretch = self._crowded_stretch = -1
        self.filter: Callable[[Plane, Plane], Plane | None] | None = None
        """Where filters keep the heads of link and out queues from the ramp."""

    def _seams(self) -> tuple[dict[Direction, Plane], np.ndarray]:
        """Where a wavelet that goes each way ends up beyond a seam; all PEs beside one, bool ``[rows, cols]``.

        Raises WseError for a color that comes to such a PE over a seam and from elsewhere: one could overtake another.
        """
        program = self.program
        ends = {way: np.zeros((program.rows, program.cols), dtype=bool) for way in DIRECTIONS}
        rows, columns = program.seams
        for row in rows:
            ends[Direction.SOUTH][row] = ends[Direction.NORTH][row - 1] = True
        for column in columns:
            ends[Direction.EAST][:, column] = ends[Direction.WEST][:, column - 1] = True
        for i, color in enumerate(program.colors):
            taken = np.bitwise_or.reduce(color.inputs, axis=0)
            for way, there in ends.items():
                source = port(way.opposite)
                clash = there & (taken & source != 0) & (taken & ~np.uint8(source | RAMP) != 0)
                if clash.any():
                    place = program.place(int(np.flatnonzero(clash)[0]))
                    raise WseError(
                        f"{program.color_name(i)}: PE {place} takes it over a seam between dies and from another side; "
                        "one direction works there, or another place on the wafer"
                    )
        beside = np.logical_or.reduce(list(ends.values()))
        return {way: self.grid.pack(there) for way, there in ends.items() if there.any()}, beside

    def _routes(self, colors: list[Color]) -> None:
        bank, pack = self.bank, self.grid.pack
        bank.add("outputs", 5)
        bank.add("inputs", 5)
        for i, color in enumerate(colors):
            self.set_ports(i, _at(color.inputs, color.initial), _at(color.outputs, color.initial))
        told = self.program.code.instructions
        self.switching = any((color.last > 0).any() for color in colors) or any(i.control >= 0 for i in told)
        every = [np.bitwise_or.reduce(color.outputs, axis=0) for color in colors]
        used = [np.packbits(color.used) for color in colors]
        pairs = [
            (i, j)
            for i in range(len(colors))
            for j in range(i + 1, len(colors))
            if (used[i] & used[j]).any() and (every[i] & every[j]).any()
        ]
        self.turns = Turns({(i, j): pack((every[i] & every[j]) != 0) for i, j in pairs})
        both = [np.any((i & RAMP != 0) & (i & ~np.uint8(RAMP) != 0)) for i in (color.inputs for color in colors)]
        self.mixed = any(both)

    def set_ports(self, color: int, inputs: np.ndarray, outputs: np.ndarray) -> None:
        """Ports of ``color`` on all PEs, uint8 ``[rows, cols]``."""
        for name, ports in (("inputs", inputs), ("outputs", outputs)):
            held = self.bank.view(name, color)
            for way in DIRECTIONS:
                held[way] = self.grid.pack((ports & port(way)) != 0)
            held[4] = self.grid.pack((ports & RAMP) != 0)

    def set_port(self, color: int, pe: int, inputs: int, outputs: int) -> None:
        """The ports of ``color`` on one PE (a bit) from the next cycle on."""
        word, bit = pe >> 6, np.uint64(1) << np.uint64(pe & 63)
        place = self.bank.place[color]
        for held, ports in ((self.inputs, inputs), (self.outputs, outputs)):
            for way in range(5):
                if ports >> way & 1:
                    held[way, place, word] |= bit
                else:
                    held[way, place, word] &= ~bit
        self._sources()

    def _sources(self) -> None:
        """Which queue the head comes from, and which links may be used."""
        self.from_link = self.inputs[0] | self.inputs[1] | self.inputs[2] | self.inputs[3]
        self.from_own = self.inputs[4]
        places = range(self.outputs.shape[1])
        self.uses = [(way, place) for way in DIRECTIONS for place in places if some(self.outputs[way, place])]
        self.busy = sorted({way for way, _ in self.uses})

    def use(self, colors: Iterable[int]) -> None:
        """Make ``colors`` live."""
        self.turns.settle()
        colors = sorted(colors)
        self.bank.use(colors, self._own_words(colors))
        live = self.bank.live
        live["since"][...] = 0
        self.turns.use(self.bank.place)
        self.outputs, self.inputs = live["outputs"], live["inputs"]
        self._sources()
        for queue in (self.link, self.own, self.into):
            queue.use()
        shape = self.from_link.shape
        self._blocked, self._arriving, self._late, self._own_head = np.zeros((4, *shape), dtype=np.uint64)
        self._shifted, self._out = np.zeros((2, shape[-1]), dtype=np.uint64)
        self._own_room = self.own.room if self.bank.words is None else np.zeros(shape, dtype=np.uint64)

    def _own_words(self, colors: list[int]) -> np.ndarray | None:
        """The words of planes with PEs that send any of ``colors``; None: too many to pick them."""
        if self.switching or not colors:
            return None
        words = np.flatnonzero(np.bitwise_or.reduce(self.bank.home["inputs"][4][colors], axis=0))
        return words if len(words) < self.grid.words // 2 else None

    def own_part(self, plane: Plane) -> Plane:
        """``plane`` ``[live, words]`` where the out queues are looked at."""
        return plane if self.bank.words is None else plane[:, self.bank.words]

    @property
    def own_room(self) -> Plane:
        """Where out queues have room, ``[live, words]``."""
        if self.bank.words is not None:
            self._own_room[:, self.bank.words] = self.own.room
        return self._own_room

    def look(self, time: int) -> None:
        """What is at hand, and where there is room, at ``time``."""
        for queue in (self.link, self.own, self.into):
            queue.look(time)

    def holds_any(self, color: int) -> bool:
        """Whether there is a wavelet of ``color``, which rests, in any queue."""
        return any(queue.holds_any(color) for queue in (self.link, self.own, self.into))

    def rested(self) -> list[bool]:
        """Which live colors have moved nothing since the last call."""
        since = self.bank.live["since"]
        moved = np.asarray(since.any(axis=-1))
        self.turns.settle()
        since[...] = 0
        return [not some for some in moved.tolist()]

    def route(self, time: int, bound: Plane) -> Plane:
        """What every router moves in this cycle; ``bound``: where the PE lets the color in. ``[live, words]``"""
        self._stretch = time >> 4
        head_link = self.link.head & self.from_link
        if self.bank.words is None:
            np.bitwise_and(self.own.head, self.from_own, out=self._own_head)
        else:
            self._own_head[:, self.bank.words] = self.own.head & self.from_own[:, self.bank.words]
        head_own = self._own_head
        if self.mixed:
            self._refuse_two_inputs(head_link & head_own, time)
        head = self.heads = head_link | head_own
        self.to_ramp = self.outputs[4]
        if self.filter is not None and (refused := self.filter(head_link, head_own)) is not None:
            self.to_ramp = self.to_ramp & ~refused
        can = self._can_move(head, bound)
        if self.turns.live and self.turns.choose(can, self._sharing()):
            self._crowd()
        self.own_moved = can & head_own
        self.link_moved = can & head_link
        return can

    def _sharing(self) -> dict[tuple[int, int], Plane] | None:
        """Where pairs of colors share an output in this cycle, if that changes."""
        if not self.switching and self.filter is None:
            return None
        out = np.concatenate([self.outputs[:4], self.to_ramp[None]])
        place = self.bank.place
        return {
            (i, j): np.bitwise_or.reduce(out[:, place[i]] & out[:, place[j]], axis=0)
            for i, j in self.turns.sharing
            if i in place and j in place
        }

    def _can_move(self, head: Plane, bound: Plane) -> Plane:
        blocked, shifted = self._blocked, self._shifted
        blocked[...] = 0
        limit = self.limit
        pausing: list[tuple[int, Plane]] = [(way, limit.blocked[way]) for way in self.busy if limit.some[way]]
        waiting = head.max(axis=-1).tolist()
        for way, place in self.uses:
            if not waiting[place]:
                continue
            room = self.link.room[place]
            if self.switching:
                room = room & self.inputs[way.opposite, place]
            self.grid.towards(way.opposite, room, shifted)
            np.bitwise_not(shifted, out=shifted)
            if limit.some[way]:
                np.bitwise_or(shifted, limit.blocked[way], out=shifted)
            np.bitwise_and(shifted, self.outputs[way, place], out=shifted)
            np.bitwise_or(blocked[place], shifted, out=blocked[place])
        full = ~(self.into.room & bound)
        if limit.some[RAMP_OUT]:
            pausing.append((RAMP_OUT, limit.blocked[RAMP_OUT]))
            full |= limit.blocked[RAMP_OUT]
        full &= self.to_ramp
        np.bitwise_or(blocked, full, out=blocked)
        if pausing and self.turns.live and self._crowded_stretch != self._stretch:
            self._note_crowds(head, pausing)
        can: Plane = head & ~blocked
        return can

    def _note_crowds(self, head: Plane, pausing: list[tuple[int, Plane]]) -> None:
        """Whether a head waits for a link that has to pause, and another color moved there last.

        A stream alone on its links never waits for their interval: its sender keeps it.
        """
        for way, blocked in pausing:
            waiting = head & blocked & self.outputs[way]
            if some(waiting) and self.turns.came_second(waiting):
                self._crowd()
                return

    def _crowd(self) -> None:
        if self._crowded_stretch != self._stretch:
            self._crowded_stretch = self._stretch
            self.crowded += 1

    def step(self, time: int, moved: Plane, taken: Plane, sent: Plane) -> None:
        """Carry the cycle out: the routers' moves, and what the PEs took and put into their out queues."""
        hop, ramp = self.spec.hop_cycles, self.spec.ramp_cycles
        arriving, out = self._arriving, self._out
        arriving[...] = 0
        used = self.used
        used[:RAMP_OUT] = 0
        moves = moved.max(axis=-1).tolist()
        for way, place in self.uses:
            if not moves[place]:
                continue
            np.bitwise_and(moved[place], self.outputs[way, place], out=out)
            np.bitwise_or(used[way], out, out=used[way])
            self.grid.towards(way, out, self._shifted)
            np.bitwise_or(arriving[place], self._shifted, out=arriving[place])
            if way in self.over_seam:
                self._late[place] |= self._shifted & self.over_seam[way]
        self.tally.add(used[:RAMP_OUT])
        into = moved & self.to_ramp
        np.bitwise_or.reduce(into, axis=0, out=used[RAMP_OUT])
        self.limit.moved(used, anything=some(used))
        if self.over_seam:
            self.link.coming(time + hop + self.seam)[...] |= self._late
            self.link.coming(time + hop)[...] |= arriving & ~self._late
            self._late[...] = 0
        else:
            self.link.coming(time + hop)[...] |= arriving
        self.into.coming(time + ramp)[...] |= into
        self.link.step(self.link_moved, arriving)
        self.own.step(self.own_part(self.own_moved), self.own_part(sent))
        self.into.step(taken, into)
        self.let_in = into
        if self.turns.sharing:
            self.turns.moved(moved)
        since = self.bank.live["since"]
        np.bitwise_or(since, moved, out=since)

    def _refuse_two_inputs(self, both: Plane, time: int) -> None:
        if both.any():
            place = int(np.argwhere(both)[0][0])
            bit = int(self.grid.members(both[place])[0])
            y, x = divmod(bit, self.grid.stride)
            pe = self.program.place(y * self.program.cols + x)
            name = self.program.color_name(self.bank.active[place])
            raise WseError(
                f"{name}: at PE {pe} two inputs bring a wavelet at once in cycle {time}; one at a time works"
            )


def _at(ports: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Ports at each PE's own position, uint8 ``[rows, cols]``."""
    return np.asarray(np.take_along_axis(ports, position[None].astype(np.intp), axis=0)[0])

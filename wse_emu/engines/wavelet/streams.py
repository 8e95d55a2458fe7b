"""The stream instructions that PEs have under way, as bit planes: who takes and who sends in a cycle."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wse_emu.engines.code import FabricProgram, Instruction
from wse_emu.engines.semantics import datapath_interval
from wse_emu.engines.wavelet.fabric import SENDS, TAKES, Bank, Fabric
from wse_emu.engines.wavelet.planes import Grid, Plane, RunLimit, Turns, nonzero, sliced, some, take_one
from wse_emu.errors import WseError

RECEIVING = ("recv", "recv_op", "recv_op_send")


def is_reducing(instruction: Instruction) -> bool:
    """Whether the datapath adds while it streams."""
    return instruction.kind in {"recv_op", "recv_op_send"} or instruction.reducing


Users = dict[tuple[str, int], Plane]
"""By side ("take", "send", "pass on") and color: the PEs that may ever do it."""


@dataclass
class Side:
    """One direction of the PEs' datapaths: receiving or sending."""

    name: str
    row: int
    """Among what the fabric's limit keeps an eye on."""
    slow: RunLimit | None
    """Of instructions that add, where adding takes longer than a link."""
    turns: Turns
    streams: int = 0
    """Instructions under way, of all PEs."""


class Streams:
    """All stream instructions under way on the main threads and microthreads."""

    def __init__(self, program: FabricProgram, grid: Grid, fabric: Fabric, users: Users, *, carrying: bool) -> None:
        """``users``: which PEs may take or send each color; ``carrying``: wavelets carry payloads."""
        self.program, self.grid, self.fabric, self.spec = program, grid, fabric, program.spec
        self.bank, self.carrying = fabric.bank, carrying
        told = program.code.instructions
        counts = [max((i.wavelets for i in told if i.kind in kinds), default=1) for kinds in (RECEIVING, ("send",))]
        interval = datapath_interval(program.spec, program.dtype)
        self.several = any(i.background for i in told)
        self.sides = []
        for name, colors in (
            ("take", {i.source for i in told if i.kind in RECEIVING}),
            ("send", {i.target for i in told if i.kind == "send"}),
        ):
            self.bank.add(name)
            self.bank.add(f"{name} adding")
            pairs = [(i, j) for i in sorted(colors) for j in sorted(colors) if i < j] if self.several else []
            none = grid.zeros()
            sharing = {(i, j): users.get((name, i), none) & users.get((name, j), none) for i, j in pairs}
            link = program.spec.link_interval
            slow = RunLimit(Fraction(interval), 1, grid.words) if interval != link else None
            side = Side(name, TAKES if name == "take" else SENDS, slow, Turns(sharing))
            self.sides.append(side)
        self.taking, self.sending = self.sides
        self.pairs = sorted({(i.source, i.target) for i in told if i.kind == "recv_op_send"})
        self._forward = {pair: grid.zeros() for pair in self.pairs}
        self._forwarding = dict.fromkeys(self.pairs, 0)
        self.to_let_in = Countdown("to let in", self.bank, counts[0])
        self.to_take = Countdown("to take", self.bank, counts[0]) if carrying else None
        """Known from what is to be let in and what is in the queue, unless control wavelets leave some there."""
        self.to_send = Countdown("to send", self.bank, counts[1])
        self._cycle = 0
        self.bank.add("open")
        self.bank.add("receives")
        self.bank.add("sends")

    def look(self) -> None:
        """Where PEs let wavelets in in this cycle: :attr:`bound`, ``[live, words]``."""
        self._cycle += 1
        for countdown in (self.to_let_in, self.to_take, self.to_send):
            if countdown is not None:
                countdown.settle(self._cycle)
        self._awaited = self.to_let_in.nonzero()
        self.bound = self._awaited | self.bank.live["open"] if self.carrying else self._awaited

    def let_in(self, into: Plane) -> None:
        """Routers gave these wavelets to their PEs; last of all, control wavelets end what took them."""
        self.to_let_in.take_one(into & ~self.bank.live["open"] if self.carrying else into)
        if self._early is not None:
            self._end_early(self._early)

    # Starting and ending instructions

    def start(self, instruction: Instruction, pes: np.ndarray, waiting: np.ndarray | None = None) -> None:
        """Instructions begin to act on the bits ``pes``; ``waiting``: wavelets in their in queues already."""
        mask = self.grid.mask(pes)
        receiving = instruction.kind in RECEIVING
        side = self.taking if receiving else self.sending
        color = instruction.source if receiving else instruction.target
        self.bank.view(side.name, color)[...] |= mask
        if not receiving:
            self.to_send.set(color, instruction.wavelets - 1, mask)
        elif self.to_take is None or waiting is None:
            self.to_let_in.set(color, instruction.wavelets, mask)
        else:
            self.to_take.set(color, instruction.wavelets - 1, mask)
            for count in np.unique(waiting).tolist():
                alike = self.grid.mask(pes[waiting == count])
                self.to_let_in.set(color, max(0, instruction.wavelets - count), alike)
        if self.several:
            self._bind(instruction, mask)
        side.streams += len(pes)
        if side.slow is not None:
            adding = self.bank.view(f"{side.name} adding", color)
            adding[...] = adding | mask if is_reducing(instruction) else adding & ~mask
        if instruction.kind == "recv_op_send":
            pair = instruction.source, instruction.target
            self._forward[pair] |= mask
            self._forwarding[pair] += len(pes)

    def ended(self, instruction: Instruction, pes: np.ndarray) -> None:
        """What is kept about an instruction beside its own planes goes when it ends."""
        side = self.taking if instruction.kind in RECEIVING else self.sending
        side.streams -= len(pes)
        if instruction.kind == "recv_op_send":
            pair = instruction.source, instruction.target
            self._forward[pair] &= ~self.grid.mask(pes)
            self._forwarding[pair] -= len(pes)

    def _bind(self, instruction: Instruction, mask: Plane) -> None:
        for name, color in (("receives", instruction.source), ("sends", instruction.target)):
            if color >= 0:
                held = self.bank.view(name, color)
                if (twice := held & mask).any():
                    bit = int(self.grid.members(twice)[0])
                    pe = self.program.place(bit // self.grid.stride * self.program.cols + bit % self.grid.stride)
                    raise WseError(
                        f"{self.program.color_name(color)}: two instructions of PE {pe} use it at once; a `wait` "
                        "between them, or another color, works"
                    )
                held |= mask

    def release(self, instruction: Instruction, pes: np.ndarray) -> None:
        """A stream instruction is done; its colors may be used again."""
        if self.several:
            mask = ~self.grid.mask(pes)
            for name, color in (("receives", instruction.source), ("sends", instruction.target)):
                if color >= 0:
                    self.bank.view(name, color)[...] &= mask

    def colors_of(self, instruction: Instruction) -> set[int]:
        """Colors that must be live for ``instruction`` to act."""
        return {color for color in (instruction.source, instruction.target) if color >= 0}

    def joined(self, colors: set[int]) -> set[int]:
        """``colors`` and all that forwarding joins them to: they must be live together."""
        before: set[int] = set()
        found = set(colors)
        while found != before:
            before = set(found)
            for pair, count in self._forwarding.items():
                if count and not found.isdisjoint(pair):
                    found.update(pair)
        return found

    def use(self) -> None:
        """The live colors have changed."""
        place = self.bank.place
        for side in self.sides:
            side.turns.use(place)
        self._live_pairs = [
            (self._forward[pair], pair, place[pair[0]], place[pair[1]])
            for pair in self.pairs
            if pair[0] in place and pair[1] in place
        ]

    # One cycle

    def act(self, time: int, control: Plane | None = None) -> tuple[Plane, Plane]:
        """What PEs take from their in queues and put into their out queues, ``[live, words]``.

        ``control``: where the head of an in queue is a control wavelet, which ends the instruction that takes it.
        The instructions that have ended are in :attr:`over`.
        """
        live, fabric = self.bank.live, self.fabric
        taken = self._take(live["take"] & fabric.into.head)
        data = taken if control is None else taken & ~control
        forwarded = self._pass_on(data, time)
        can_send = live["send"] & fabric.own_room
        emitted = self._choose(self.sending, can_send)
        fabric.own.coming(time + self.spec.ramp_cycles)[...] |= fabric.own_part(emitted)
        self.emitted = emitted
        self.over = [self._taken_last(data), self._sent_last(emitted)]
        self._early = None if control is None else taken & control
        return taken, emitted if forwarded is None else emitted | forwarded

    def _end_early(self, ended: Plane) -> None:
        """Control wavelets end the receiving instructions that took them."""
        live = self.bank.live
        live["take"] &= ~ended
        self.to_let_in.clear(ended)
        if self.to_take is not None:
            self.to_take.clear(ended)
        self.over[0] |= ended

    def _take(self, can: Plane) -> Plane:
        room = self.fabric.own_room if self._live_pairs else None
        for plane, pair, source, target in self._live_pairs:
            if self._forwarding[pair] and room is not None:
                can[source] &= ~(plane & ~room[target])
        return self._choose(self.taking, can)

    def _choose(self, side: Side, can: Plane) -> Plane:
        limit, used = self.fabric.limit, self.fabric.used[side.row]
        if limit.some[side.row]:
            can &= ~limit.blocked[side.row]
        if side.slow is not None and side.slow.some[0]:
            live = self.bank.live
            can &= ~(side.slow.blocked[0] & np.bitwise_or.reduce(live[side.name] & live[f"{side.name} adding"], axis=0))
        if side.turns.live:
            side.turns.choose(can)
            side.turns.moved(can)
        np.bitwise_or.reduce(can, axis=0, out=used)
        if side.slow is not None:
            side.slow.moved(used[None], anything=some(used))
        return can

    def _pass_on(self, taken: Plane, time: int) -> Plane | None:
        """Wavelets that are taken and go on, where they enter out queues, ``[live, words]``; None: nowhere."""
        forwarded = None
        for plane, pair, source, target in self._live_pairs:
            if self._forwarding[pair]:
                if forwarded is None:
                    forwarded = np.zeros_like(taken)
                forwarded[target] |= taken[source] & plane
        if forwarded is not None:
            due = time + self.spec.combine_cycles + self.spec.ramp_cycles
            self.fabric.own.coming(due)[...] |= self.fabric.own_part(forwarded)
        return forwarded

    def _taken_last(self, taken: Plane) -> Plane:
        """Where the receiving instruction took its last wavelet, and ends."""
        if self.to_take is not None:
            over: Plane = taken & ~self.to_take.nonzero()
            self.to_take.take_one(taken & ~over)
        else:
            over = taken & ~self._awaited
            if some(over):
                over &= self.fabric.into.holds_one()
        held = self.bank.live["take"]
        np.bitwise_and(held, ~over, out=held)
        return over

    def _sent_last(self, emitted: Plane) -> Plane:
        over: Plane = emitted & ~self.to_send.nonzero()
        self.to_send.take_one(emitted & ~over)
        held = self.bank.live["send"]
        np.bitwise_and(held, ~over, out=held)
        return over


class Countdown:
    """A number per PE and color that wavelets count down to 0.

    Its three lower bits are worked on every cycle. What they owe to the others waits up to four cycles, in which no
    number can come to 0: after a borrow the lower bits hold 7.
    """

    LOW, EVERY = 3, 4

    def __init__(self, name: str, bank: Bank, most: int) -> None:
        self._bank = bank
        self._low, self._high, self._more, self._owed = (f"{name} {part}" for part in ("low", "high", "more", "owed"))
        self.bits = most.bit_length()
        bank.add(self._low, self.LOW)
        if self.bits > self.LOW:
            bank.add(self._high, self.bits - self.LOW)
            bank.add(self._more)
            bank.add(self._owed)

    def set(self, color: int, value: int, mask: Plane) -> None:
        """Make the number ``value`` where ``mask`` is set; it is 0 there."""
        low = self._bank.view(self._low, color)
        for place, bit in enumerate(sliced(value, self.LOW)):
            if bit:
                low[place] |= mask
        if value >> self.LOW:
            self._bank.view(self._more, color)[...] |= mask
            high = self._bank.view(self._high, color)
            for place, bit in enumerate(sliced(value >> self.LOW, self.bits - self.LOW)):
                if bit:
                    high[place] |= mask

    def nonzero(self) -> Plane:
        """Where the number is not 0, ``[live, words]``."""
        live = self._bank.live
        out = nonzero(live[self._low])
        return np.bitwise_or(out, live[self._more], out=out) if self.bits > self.LOW else out

    def take_one(self, where: Plane) -> None:
        """One less ``where``, which is overwritten."""
        take_one(self._bank.live[self._low], where)
        if self.bits > self.LOW:
            owed = self._bank.live[self._owed]
            np.bitwise_or(owed, where, out=owed)

    def settle(self, cycle: int) -> None:
        """Pay what the lower bits owe to the upper ones."""
        if self.bits > self.LOW and cycle % self.EVERY == 0:
            live = self._bank.live
            take_one(live[self._high], live[self._owed])
            live[self._owed][...] = 0
            nonzero(live[self._high], live[self._more])

    def clear(self, where: Plane) -> None:
        """0 ``where``."""
        for name in (self._low, self._high, self._more, self._owed) if self.bits > self.LOW else (self._low,):
            live = self._bank.live[name]
            np.bitwise_and(live, ~where, out=live)

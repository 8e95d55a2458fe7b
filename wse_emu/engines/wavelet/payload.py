"""Wavelets with their payloads: values carried through the queues beside the bit planes, which decide who moves.

Only where a program has a memory, or where what happens depends on what a wavelet is (control wavelets, filters, data
tasks). A word here is uint64: a wavelet's 32 bits, and bit 32 for a control wavelet.
"""

from collections.abc import Callable

import numpy as np

from wse_emu.engines.code import FabricProgram, Filter, Instruction, Vector
from wse_emu.engines.wavelet.fabric import Fabric
from wse_emu.engines.wavelet.planes import Grid, Plane, has
from wse_emu.errors import WseError
from wse_emu.fabric.directions import DIRECTIONS
from wse_emu.program.precision import ARRAY_TYPES

CONTROL = np.uint64(1 << 32)
_WORD = np.uint64(0xFFFFFFFF)
MOST_BYTES = 2 << 30


def _on(dtype: object, function: Callable[..., np.ndarray]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """``function`` on 32-bit words that hold one or two of ``dtype``."""

    def apply(came: np.ndarray, mine: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # what overflows becomes infinite, as on the machine
            made = np.asarray(function(came.view(dtype), mine.view(dtype)), dtype=dtype)  # type: ignore[call-overload]
        return np.asarray(made.view(np.uint32))

    return apply


KINDS = ARRAY_TYPES
_VECTOR: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "max": np.maximum,
    "copy": np.asarray,
    "fma": lambda a, b, c: a * b + c,
}
COMBINE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    f"{name}_{dtype}": _on(kind, function)
    for dtype, kind in KINDS.items()
    for name, function in (("add", np.add), ("max", np.maximum))
}
"""What `recv_op` does with a wavelet and the word of memory that it meets: uint32 arrays, the wavelet's first."""
ARGMAX = "argmax_float32"
"""Pairs of words, a float32 and an int32: the larger value with its index, at a tie the lower index."""


ByEntry = Callable[[str, int, np.ndarray], list[tuple[Instruction, np.ndarray]]]
"""(side, color, PEs) -> the PEs grouped by the instruction that they have under way there."""


class Line:
    """The contents of one kind of queue, for all colors and PEs: first in, first out."""

    def __init__(self, colors: int, bits: int, room: int) -> None:
        self._words = np.zeros((colors, room, bits), dtype=np.uint64)
        self._first = np.zeros((colors, bits), dtype=np.int16)
        self.count = np.zeros((colors, bits), dtype=np.int16)
        self._room = room

    def push(self, color: int, pes: np.ndarray, words: np.ndarray) -> None:
        slot = (self._first[color, pes] + self.count[color, pes]) % self._room
        self._words[color, slot, pes] = words
        self.count[color, pes] += 1

    def head(self, color: int, pes: np.ndarray) -> np.ndarray:
        return np.asarray(self._words[color, self._first[color, pes], pes])

    def pop(self, color: int, pes: np.ndarray) -> np.ndarray:
        words = self.head(color, pes)
        self._first[color, pes] = (self._first[color, pes] + 1) % self._room
        self.count[color, pes] -= 1
        return words


class Payloads:
    """What is in the queues and in the PEs' memories."""

    def __init__(self, program: FabricProgram, grid: Grid, fabric: Fabric, room: int) -> None:
        colors = len(program.colors)
        wanted = 3 * colors * room * grid.bits * 8
        if wanted > MOST_BYTES:
            raise WseError(
                f"payloads of {colors} colors on {program.rows}×{program.cols} PEs would take {wanted >> 20} MiB; "
                "a smaller mesh, or fewer colors, work"
            )
        self.program, self.grid, self.fabric = program, grid, fabric
        self.link, self.own, self.into = (Line(colors, grid.bits, room) for _ in range(3))
        rows, cols = np.divmod(np.arange(grid.bits), grid.stride)
        words = 1 if program.memory is None else program.memory.shape[-1]
        self.memory = np.zeros((grid.bits, words), dtype=np.uint32)
        inside = cols < program.cols
        if program.memory is not None:
            self.memory[inside] = program.memory[rows[inside], cols[inside]]
        self._inside = inside
        self._progress = {side: np.zeros((colors, grid.bits), dtype=np.int32) for side in ("take", "send")}
        self._order = np.zeros(grid.bits, dtype=np.int8)
        """Of the pair at hand in an argmax: whose value is larger, 1: the PE's."""
        self._offset = {way: way.step[0] + way.step[1] * grid.stride for way in DIRECTIONS}
        self._position = (
            np.stack([_flat(grid, color.initial) for color in program.colors]) if colors else np.zeros((0, 0))
        )
        self._filters = [
            (i, y * grid.stride + x, held, [held.start])
            for i, color in enumerate(program.colors)
            for (y, x), held in color.filters.items()
        ]

    def restart(self, side: str, color: int, pes: np.ndarray) -> None:
        """A stream instruction begins: its next word is its first."""
        self._progress[side][color, pes] = 0

    # Before a cycle's decisions

    def control_heads(self, heads: Plane) -> Plane:
        """Where the wavelet at the head of the in queue is a control wavelet, ``[colors, words]``."""
        out = np.zeros_like(heads)
        for color in range(len(heads)):
            pes = self.grid.members(heads[color])
            if pes.size:
                out[color] = self.grid.mask(pes[self.into.head(color, pes) >= CONTROL])
        return out

    def refused(self, link_heads: Plane, own_heads: Plane) -> Plane | None:
        """Where a filter keeps the head from the ramp, ``[colors, words]``; None: nowhere."""
        out = None
        for color, pe, held, count in self._filters:
            for line, heads in ((self.link, link_heads), (self.own, own_heads)):
                if heads[color, pe >> 6] >> np.uint64(pe & 63) & np.uint64(1):
                    word = line.head(color, np.array([pe]))[0]
                    if word < CONTROL and not _passes(held, count[0], int(word)):
                        out = np.zeros_like(link_heads) if out is None else out
                        out[color, pe >> 6] |= np.uint64(1) << np.uint64(pe & 63)
        return out

    # The cycle itself

    def move(self, link_moved: Plane, own_moved: Plane, into: Plane) -> None:
        """Carry what the routers moved, by the ports that they had, and work the switches."""
        outputs = self.fabric.outputs.copy()
        for color in range(len(link_moved)):
            for line, moved in ((self.link, link_moved[color]), (self.own, own_moved[color])):
                pes = self.grid.members(moved)
                if pes.size:
                    words = line.pop(color, pes)
                    self._count_filtered(color, pes, words, outputs[4, color])
                    self._send_on(color, pes, self._switched(color, pes, words), outputs[:, color], into[color])

    def _send_on(self, color: int, pes: np.ndarray, words: np.ndarray, outputs: np.ndarray, into: Plane) -> None:
        for way in DIRECTIONS:
            goes = has(outputs[way], pes)
            self.link.push(color, pes[goes] + self._offset[way], words[goes])
        goes = has(into, pes)
        self.into.push(color, pes[goes], words[goes])

    def _count_filtered(self, color: int, pes: np.ndarray, words: np.ndarray, to_ramp: Plane) -> None:
        for held_color, pe, _, count in self._filters:
            if held_color == color:
                at = np.flatnonzero(pes == pe)
                if at.size and words[at[0]] < CONTROL and has(to_ramp, pes[at])[0]:
                    count[0] += 1

    def _switched(self, color: int, pes: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Work the switches for the control wavelets among ``words``; returns the words that go on."""
        controls = np.flatnonzero(words >= CONTROL)
        if not controls.size:
            return words
        words = words.copy()
        held = self.program.colors[color]
        for i in controls.tolist():
            pe, word = int(pes[i]), int(words[i])
            command = word >> 8 & 7
            y, x = divmod(pe, self.grid.stride)
            if command == 1:
                last = int(held.last[y, x])
                at = int(self._position[color, pe])
                self._turn(color, pe, at + 1 if at < last else 0 if held.ring else at)
            elif command == 2:
                self._turn(color, pe, int(held.initial[y, x]))
            elif command == 3:
                self.fabric.set_port(color, pe, 0, 0)
            if held.pop == "always" or (held.pop == "on_advance" and command == 1):
                commands = (word & 0xFFFFFFFF) >> 11
                words[i] = np.uint64((word & 0xFF) | commands << 8) | CONTROL
        return words

    def _turn(self, color: int, pe: int, position: int) -> None:
        self._position[color, pe] = position
        held = self.program.colors[color]
        y, x = divmod(pe, self.grid.stride)
        self.fabric.set_port(color, pe, int(held.inputs[position, y, x]), int(held.outputs[position, y, x]))

    def take(self, taken: Plane, control: Plane, entry: ByEntry) -> None:
        """PEs take wavelets; ``entry`` groups the PEs of a color by the instruction that takes."""
        for color in range(len(taken)):
            ending = self.grid.members(taken[color] & control[color])
            if ending.size:
                self.into.pop(color, ending)
            pes = self.grid.members(taken[color] & ~control[color])
            if pes.size:
                for told, chosen in entry("take", color, pes):
                    self._take(told, color, chosen)

    def _take(self, told: Instruction, color: int, pes: np.ndarray) -> None:
        words = (self.into.pop(color, pes) & _WORD).astype(np.uint32)
        at = self._progress["take"][color, pes]
        self._progress["take"][color, pes] += 1
        if told.operand is not None and self.program.memory is not None:
            address = told.operand.address + at * told.operand.stride
            if told.kind != "recv":
                words = self._combined(told, pes, address, at, words)
            if told.kind != "recv_op_send":
                self.memory[pes, address] = words
        if told.kind == "recv_op_send":
            self.own.push(told.target, pes, words.astype(np.uint64))

    def _combined(
        self, told: Instruction, pes: np.ndarray, address: np.ndarray, at: np.ndarray, words: np.ndarray
    ) -> np.ndarray:
        assert told.operand is not None
        mine = self.memory[pes, address]
        if told.operand.combine != ARGMAX:
            return COMBINE[told.operand.combine](words, mine)
        value = at % 2 == 0
        came, held = words.view(np.float32), mine.view(np.float32)
        self._order[pes[value]] = np.sign(held[value] - came[value]).astype(np.int8)
        order = self._order[pes]
        mine_wins = (order > 0) | ((order == 0) & (mine.view(np.int32) < words.view(np.int32)) & ~value)
        return np.where(mine_wins, mine, words)

    def send(self, emitted: Plane, entry: ByEntry) -> None:
        """PEs send wavelets."""
        for color in range(len(emitted)):
            pes = self.grid.members(emitted[color])
            if pes.size:
                for told, chosen in entry("send", color, pes):
                    self.own.push(color, chosen, self._sent(told, color, chosen))

    def _sent(self, told: Instruction, color: int, pes: np.ndarray) -> np.ndarray:
        at = self._progress["send"][color, pes]
        self._progress["send"][color, pes] += 1
        if told.control >= 0:
            return np.full(len(pes), told.control, dtype=np.uint64) | CONTROL
        if told.operand is None or self.program.memory is None:
            return np.zeros(len(pes), dtype=np.uint64)
        words = self.memory[pes, told.operand.address + at * told.operand.stride]
        return np.asarray(words, dtype=np.uint64)

    def compute(self, told: Vector, pes: np.ndarray) -> None:
        """A vector instruction on the memories of ``pes``."""
        kind = KINDS[told.dtype]

        def read(address: int) -> np.ndarray:
            return np.ascontiguousarray(self.memory[pes, address : address + told.words]).view(kind)

        sources = [read(at) if isinstance(at, int) else np.asarray(at, dtype=kind) for at in told.sources]
        if told.operation == "fma":
            sources.append(read(told.target))
        with np.errstate(all="ignore"):
            made = np.asarray(_VECTOR[told.operation](*sources), dtype=kind)
        made = np.ascontiguousarray(np.broadcast_to(made, read(told.target).shape))
        self.memory[pes, told.target : told.target + told.words] = made.view(np.uint32)

    def memories(self) -> np.ndarray:
        """The PEs' memories, uint32 ``[rows, cols, words]``."""
        held = self.memory[self._inside]
        return held.reshape(self.program.rows, self.program.cols, -1)


def _passes(held: Filter, count: int, word: int) -> bool:
    if held.period:
        return count % held.period < held.limit
    return held.low <= word >> 16 <= held.high


def _flat(grid: Grid, held: np.ndarray) -> np.ndarray:
    padded = np.zeros((grid.rows, grid.stride), dtype=np.uint8)
    padded[:, : grid.cols] = held
    return padded.ravel()

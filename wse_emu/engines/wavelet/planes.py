"""Bit planes: one bit a PE, 64 PEs to a word, and what is counted with them.

A plane is uint64 ``[words]``: rows one after another, each padded to whole words, PE x of a row in bit x mod 64. A
number per PE is a stack of planes, least significant first (*bit-sliced*). Leading axes, such as the color, are
stacked planes.
"""

from fractions import Fraction

import numpy as np

from wse_emu.fabric.directions import Direction

Plane = np.ndarray
FEW = 4096
"""Words of a plane below which picking some of them takes longer than working on all."""
_ONE, _TOP = np.uint64(1), np.uint64(63)


class Grid:
    """How PEs ``[rows, cols]`` lie in planes. A PE's *bit* is its index in the padded grid."""

    def __init__(self, rows: int, cols: int) -> None:
        self.rows, self.cols = rows, cols
        self.row_words = -(-cols // 64)
        self.stride = self.row_words * 64
        self.words = rows * self.row_words
        self.bits = self.words * 64

    def zeros(self, *lead: int) -> Plane:
        return np.zeros((*lead, self.words), dtype=np.uint64)

    def pack(self, held: np.ndarray) -> Plane:
        """Bool ``[…, rows, cols]`` as planes ``[…, words]``."""
        padded = np.zeros((*held.shape[:-1], self.stride), dtype=bool)
        padded[..., : self.cols] = held
        return np.packbits(padded, axis=-1, bitorder="little").view(np.uint64).reshape(*held.shape[:-2], self.words)

    def unpack(self, plane: Plane) -> np.ndarray:
        """Planes ``[…, words]`` as bool ``[…, rows, cols]``."""
        shaped = np.ascontiguousarray(plane).reshape(*plane.shape[:-1], self.rows, self.row_words)
        bits = np.unpackbits(shaped.view(np.uint8), axis=-1, bitorder="little")
        return np.asarray(bits[..., : self.cols], dtype=bool)

    def mask(self, pes: np.ndarray) -> Plane:
        """The plane with the bits ``pes`` set."""
        held = np.zeros(self.bits, dtype=bool)
        held[pes] = True
        return np.packbits(held, bitorder="little").view(np.uint64)

    def members(self, plane: Plane) -> np.ndarray:
        """The bits that are set in ``plane`` ``[words]``, in order."""
        words = np.flatnonzero(plane)
        bits = np.unpackbits(plane[words].view(np.uint8), bitorder="little")
        at = np.flatnonzero(bits)
        return np.asarray(words[at >> 6] * 64 + (at & 63))

    def towards(self, direction: Direction, plane: Plane, out: Plane) -> Plane:
        """Every bit moved to its neighbour in ``direction``; routes never leave the box, so nothing wraps."""
        step = self.row_words
        if direction is Direction.EAST:
            np.left_shift(plane, _ONE, out=out)
            if step > 1:
                out[..., 1:] |= plane[..., :-1] >> _TOP
        elif direction is Direction.WEST:
            np.right_shift(plane, _ONE, out=out)
            if step > 1:
                out[..., :-1] |= plane[..., 1:] << _TOP
        elif direction is Direction.SOUTH:
            out[..., :step] = 0
            out[..., step:] = plane[..., :-step]
        else:
            out[..., -step:] = 0
            out[..., :-step] = plane[..., step:]
        return out


def has(plane: Plane, bits: np.ndarray) -> np.ndarray:
    """Whether each of ``bits`` is set in ``plane`` ``[words]``."""
    return np.asarray(plane[bits >> 6] >> (bits & 63).astype(np.uint64) & _ONE, dtype=bool)


def some(plane: Plane) -> bool:
    """Whether any bit is set: what `any` says, several times as fast."""
    return bool(np.count_nonzero(plane) if plane.size < FEW else plane.max())


def nonzero(sliced: np.ndarray, out: Plane | None = None) -> Plane:
    """Where the bit-sliced number ``[bits, …]`` is not 0."""
    if out is None:
        out = np.empty_like(sliced[0])
    if len(sliced) == 1:
        out[...] = sliced[0]
        return out
    np.bitwise_or(sliced[0], sliced[1], out=out)
    for plane in sliced[2:]:
        np.bitwise_or(out, plane, out=out)
    return out


def step_by_one(sliced: np.ndarray, up: Plane, down: Plane, change: Plane, carry: Plane) -> None:
    """Add 1 where ``up`` and take 1 where ``down`` (both: nothing), in place; ``change`` and ``carry`` are scratch."""
    np.bitwise_xor(up, down, out=change)
    for plane in sliced[:-1]:
        np.bitwise_xor(plane, down, out=carry)
        np.bitwise_xor(plane, change, out=plane)
        np.bitwise_and(change, carry, out=change)
    np.bitwise_xor(sliced[-1], change, out=sliced[-1])


def take_one(sliced: np.ndarray, borrow: Plane) -> None:
    """Take 1 off the bit-sliced numbers where ``borrow``, in place; it is left where the number was 0."""
    for plane in sliced:
        np.bitwise_xor(plane, borrow, out=plane)
        np.bitwise_and(borrow, plane, out=borrow)


def sliced(number: int, bits: int) -> list[bool]:
    """The bits of ``number``, least significant first."""
    return [bool(number >> place & 1) for place in range(bits)]


class RunLimit:
    """Which PEs (or links) may move now, at one wavelet per ``interval``: n or (b+1)/b cycles."""

    def __init__(self, interval: Fraction, words: int) -> None:
        whole = interval.denominator == 1
        self.free = interval == 1
        self._combine = np.bitwise_or if whole else np.bitwise_and
        self.window = int(interval) - 1 if whole else interval.denominator
        spans = [1 << k for k in range(max(1, self.window).bit_length())]
        self._spans = [s for s in spans if s <= self.window]
        self._none = np.zeros(words, dtype=np.uint64)
        self._held = [[self._none] * (2 * s) for s in self._spans]
        self._time = self._quiet = 0
        self.blocked = np.zeros(words, dtype=np.uint64)
        self.some = False
        """Whether any is blocked."""

    def moved(self, plane: Plane | None) -> None:
        """Note what moved in this cycle (None: nothing); called once a cycle. ``plane`` must not change any more."""
        if self.free:
            return
        self._quiet = self._quiet + 1 if plane is None else 0
        if self._quiet > 2 * self.window + 1:
            return
        self._time += 1
        now = self._none if plane is None else plane
        for span, held in zip(self._spans, self._held, strict=True):
            held[self._time % (2 * span)] = now
            if 2 * span <= self.window:
                now = self._combine(now, held[(self._time - span) % (2 * span)])
        longest = self._spans[-1]
        back = self._held[-1][(self._time - (self.window - longest)) % (2 * longest)]
        self._combine(now, back, out=self.blocked)
        self.some = some(self.blocked)


class Turns:
    """Who goes first among colors that compete at a PE: whose last move is longer ago, at first the lower color.

    For each pair (i < j) with the plane of where the two may compete, one plane says where j goes before i. Where a
    pair competes in few words only, just those are worked on.
    """

    def __init__(self, sharing: dict[tuple[int, int], Plane]) -> None:
        self.sharing = {pair: where for pair, where in sharing.items() if where.any()}
        self._words: dict[tuple[int, int], np.ndarray | slice] = {}
        for pair, where in self.sharing.items():
            words = np.flatnonzero(where)
            self._words[pair] = words if len(words) < len(where) // 4 and len(where) > FEW else slice(None)
        self._later = {pair: np.zeros_like(where[self._words[pair]]) for pair, where in self.sharing.items()}
        self._live: list[tuple[tuple[int, int], int, int]] = []
        self._noted: list[Plane] = []

    def use(self, place: dict[int, int]) -> None:
        """Other colors are at hand, and lie there among the live planes."""
        self._noted.clear()
        self._live = [((i, j), place[i], place[j]) for i, j in self._later if i in place and j in place]
        self._alone = [((i, j), place.get(i), place.get(j)) for i, j in self._later if (i in place) != (j in place)]

    @property
    def live(self) -> bool:
        """Whether any two colors at hand compete."""
        return bool(self._live)

    def moved(self, moved: Plane) -> None:
        """Note who moved in this cycle, ``[color, words]``, which must not change any more."""
        self._noted.append(moved)

    def settle(self) -> None:
        """Bring the turns up to date: before a choice, or when other colors come to hand.

        Where no PE saw both colors of a pair since the last time, it does not matter which cycle they moved in.
        """
        if not self._noted:
            return
        since = self._noted[0] if len(self._noted) == 1 else np.bitwise_or.reduce(np.stack(self._noted), axis=0)
        stayed = ~since
        once = len(self._noted) == 1
        for pair, i, j in self._live:
            later, words = self._later[pair], self._words[pair]
            if once:  # colors that share an output do not both move in a cycle
                np.bitwise_or(later, since[i, words], out=later)
                np.bitwise_and(later, stayed[j, words], out=later)
                continue
            both = since[i, words] & since[j, words]
            np.bitwise_and(both, self.sharing[pair][words], out=both)
            for moved in self._noted if some(both) else ():
                np.bitwise_or(later, moved[i, words], out=later)
                np.bitwise_and(later, ~moved[j, words], out=later)
            np.bitwise_or(later, since[i, words] & ~both, out=later)
            np.bitwise_and(later, stayed[j, words] | both, out=later)
        for pair, i, j in self._alone:
            later, words = self._later[pair], self._words[pair]
            if i is not None:
                np.bitwise_or(later, since[i, words], out=later)
            elif j is not None:
                np.bitwise_and(later, stayed[j, words], out=later)
        self._noted.clear()

    def choose(self, can: Plane, sharing: dict[tuple[int, int], Plane] | None = None) -> bool:
        """Clear those in ``can`` ``[color, words]`` that must wait; whether there are any.

        ``sharing``: where pairs compete now, if that changes.
        """
        if not _meet(can):
            return False
        lose: list[tuple[int, np.ndarray | slice, Plane]] = []
        for pair, i, j in self._live:
            words = self._words[pair]
            both = can[i, words] & can[j, words]
            np.bitwise_and(both, (sharing or self.sharing)[pair][words], out=both)
            if some(both):
                self.settle()
                first = both & self._later[pair]
                lose += [(i, words, first), (j, words, both ^ first)]
        for place, words, plane in lose:
            can[place, words] &= ~plane
        return bool(lose)

    def came_second(self, waiting: Plane) -> bool:
        """Whether any in ``waiting`` ``[color, words]`` has moved less recently than a color that it competes with."""
        self.settle()
        for pair, i, j in self._live:
            words = self._words[pair]
            where, later = self.sharing[pair][words], self._later[pair]
            if some(waiting[i, words] & where & ~later) or some(waiting[j, words] & where & later):
                return True
        return False


def _meet(can: Plane) -> bool:
    """Whether two colors of ``[color, words]`` have a bit in common."""
    seen, twice = can[0] | can[1], can[0] & can[1]
    for plane in can[2:]:
        np.bitwise_or(twice, seen & plane, out=twice)
        np.bitwise_or(seen, plane, out=seen)
    return some(twice)


class Tally:
    """Counts per bit how often it was set: bit-sliced up to 2⁸, with carries that wait until their level's turn.

    A level's carry comes at most every second time that the level is worked on, so level k needs work only every 2ᵏ
    cycles.
    """

    LEVELS = 8

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._planes, self._carries = grid.zeros(self.LEVELS), grid.zeros(self.LEVELS + 1)
        self._total = np.zeros((grid.rows, grid.cols), dtype=np.int64)
        self._time = 0

    def add(self, plane: Plane) -> None:
        """Count 1 where ``plane`` is set."""
        self._carries[0] = plane
        self._time += 1
        for level in range(self.LEVELS):
            if self._time & ((1 << level) - 1):
                return
            carry, held = self._carries[level], self._planes[level]
            np.bitwise_or(self._carries[level + 1], carry & held, out=self._carries[level + 1])
            np.bitwise_xor(held, carry, out=held)
            carry[:] = 0
        self._flush()

    def _flush(self) -> None:
        overflow = self._carries[self.LEVELS]
        self._total += self._grid.unpack(overflow).astype(np.int64) << self.LEVELS
        overflow[:] = 0

    def total(self) -> np.ndarray:
        """Counts so far, int64 ``[rows, cols]``."""
        out = self._total.copy()
        for level in range(self.LEVELS):
            out += self._grid.unpack(self._planes[level]).astype(np.int64) << level
            out += self._grid.unpack(self._carries[level]).astype(np.int64) << level
        return out + (self._grid.unpack(self._carries[self.LEVELS]).astype(np.int64) << self.LEVELS)

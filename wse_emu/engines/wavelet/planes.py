"""Bit planes: one bit a PE, 64 PEs to a word, and what is counted with them.

A plane is uint64 ``[words]``: rows one after another, each padded to whole words, PE x of a row in bit x mod 64. A
number per PE is a stack of planes, least significant first (*bit-sliced*). Leading axes, such as the color, are
stacked planes.
"""

from fractions import Fraction

import numpy as np

from wse_emu.fabric.directions import Direction

Plane = np.ndarray
FEW = 1 / 4
"""Share of a plane's words up to which picking them is faster than working on all."""
SMALL = 4096
"""Words up to which counting bits is the fastest way to see whether there are any."""
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
    return bool(np.count_nonzero(plane) if plane.size < SMALL else plane.max())


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
    """Where something may move now, at one wavelet per ``interval``: n or (b+1)/b cycles.

    Planes are ``[count, words]``.
    """

    def __init__(self, interval: Fraction, count: int, words: int) -> None:
        whole = interval.denominator == 1
        self.free = interval == 1
        self._combine = np.bitwise_or if whole else np.bitwise_and
        self.window = int(interval) - 1 if whole else interval.denominator
        spans = [1 << k for k in range(max(1, self.window).bit_length())]
        self._spans = [s for s in spans if s <= self.window]
        self._held = [np.zeros((2 * s, count, words), dtype=np.uint64) for s in self._spans]
        self._time = self._quiet = 0
        self.blocked = np.zeros((count, words), dtype=np.uint64)
        self.some = [False] * count
        """Whether any is blocked."""

    def moved(self, planes: Plane, *, anything: bool) -> None:
        """Note what moved in this cycle (``anything``: whether there was any); called once a cycle."""
        if self.free:
            return
        self._quiet = 0 if anything else self._quiet + 1
        if self._quiet > 2 * self.window + 1:
            return
        self._time += 1
        now = planes
        for span, held in zip(self._spans, self._held, strict=True):
            here = held[self._time % (2 * span)]
            here[...] = now
            if 2 * span <= self.window:
                now = self._combine(here, held[(self._time - span) % (2 * span)])
        longest = self._spans[-1]
        back = self._held[-1][(self._time - (self.window - longest)) % (2 * longest)]
        self._combine(now, back, out=self.blocked)
        self.some = [some(plane) for plane in self.blocked]


class Turns:
    """Who goes first among colors that compete at a PE: whose last move is longer ago, at first the lower color.

    For each pair (i < j) with the plane of where the two may compete, one plane says where j goes before i. If that
    is in few words only, just those are worked on.
    """

    def __init__(self, sharing: dict[tuple[int, int], Plane]) -> None:
        self.sharing = {pair: where for pair, where in sharing.items() if where.any()}
        self._words: np.ndarray | slice = slice(None)
        if self.sharing:
            words = np.flatnonzero(np.bitwise_or.reduce(list(self.sharing.values()), axis=0))
            if len(words) < FEW * len(next(iter(self.sharing.values()))):
                self._words = words
                self.sharing = {pair: where[words] for pair, where in self.sharing.items()}
        self._later = {pair: np.zeros_like(where) for pair, where in self.sharing.items()}
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
        self._noted.append(moved[:, self._words])

    def settle(self) -> None:
        """Bring the turns up to date: before a choice, or when other colors come to hand.

        Where no PE saw both colors of a pair since the last time, it does not matter which cycle they moved in.
        """
        if not self._noted:
            return
        noted = self._noted
        since = noted[0] if len(noted) == 1 else np.bitwise_or.reduce(np.stack(noted), axis=0)
        stayed = ~since
        for pair, i, j in self._live:
            later = self._later[pair]
            if len(noted) > 1 and some(since[i] & since[j] & self.sharing[pair]):
                self._replay(later, i, j)
            else:  # colors that share an output do not both move in a cycle
                np.bitwise_or(later, since[i], out=later)
                np.bitwise_and(later, stayed[j], out=later)
        for pair, i_alone, j_alone in self._alone:
            later = self._later[pair]
            if i_alone is not None:
                np.bitwise_or(later, since[i_alone], out=later)
            elif j_alone is not None:
                np.bitwise_and(later, stayed[j_alone], out=later)
        noted.clear()

    def _replay(self, later: Plane, i: int, j: int) -> None:
        """Cycle after cycle, since some PEs saw both colors move."""
        for moved in self._noted:
            np.bitwise_or(later, moved[i], out=later)
            np.bitwise_and(later, ~moved[j], out=later)

    def choose(self, can: Plane, sharing: dict[tuple[int, int], Plane] | None = None) -> bool:
        """Clear those in ``can`` ``[color, words]`` that must wait; whether there are any.

        ``sharing``: where pairs compete now, if that changes.
        """
        here = can[:, self._words]
        if not _meet(here):
            return False
        lose: list[tuple[int, Plane]] = []
        for pair, i, j in self._live:
            both = here[i] & here[j]
            np.bitwise_and(both, self.sharing[pair] if sharing is None else sharing[pair][self._words], out=both)
            if some(both):
                self.settle()
                first = both & self._later[pair]
                lose += [(i, first), (j, both ^ first)]
        for place, plane in lose:
            here[place] &= ~plane
        if lose:
            can[:, self._words] = here
        return bool(lose)

    def came_second(self, waiting: Plane) -> bool:
        """Whether any in ``waiting`` ``[color, words]`` has moved less recently than a color that it competes with."""
        self.settle()
        here = waiting[:, self._words]
        for pair, i, j in self._live:
            where, later = self.sharing[pair], self._later[pair]
            if some(here[i] & where & ~later) or some(here[j] & where & later):
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
    cycles. Planes are ``[count, words]``.
    """

    LEVELS = 8

    def __init__(self, grid: Grid, count: int) -> None:
        self._grid = grid
        self._planes, self._carries = grid.zeros(self.LEVELS, count), grid.zeros(self.LEVELS + 1, count)
        self._total = np.zeros((count, grid.rows, grid.cols), dtype=np.int64)
        self._time = 0

    def add(self, planes: Plane) -> None:
        """Count 1 where ``planes`` are set."""
        self._carries[0] = planes
        self._time += 1
        for level in range(self.LEVELS):
            if self._time & ((1 << level) - 1):
                return
            carry, held = self._carries[level], self._planes[level]
            np.bitwise_or(self._carries[level + 1], carry & held, out=self._carries[level + 1])
            np.bitwise_xor(held, carry, out=held)
            carry[...] = 0
        self._flush()

    def _flush(self) -> None:
        overflow = self._carries[self.LEVELS]
        self._total += self._grid.unpack(overflow).astype(np.int64) << self.LEVELS
        overflow[...] = 0

    def total(self) -> np.ndarray:
        """Counts so far, int64 ``[count, rows, cols]``."""
        out = self._total.copy()
        for level in range(self.LEVELS):
            out += self._grid.unpack(self._planes[level]).astype(np.int64) << level
            out += self._grid.unpack(self._carries[level]).astype(np.int64) << level
        return out + (self._grid.unpack(self._carries[self.LEVELS]).astype(np.int64) << self.LEVELS)

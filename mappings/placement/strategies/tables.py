"""Best rectangles of runs of blocks, by their extent across an axis: what dynamic programming keeps and joins.

The ways of flows between two parts are least when the parts are mirrored so that the ends that are joined lie close to
the cut, and on the same side of the middle: so a part's price needs to know its own end only.
"""

import numpy as np

LENGTH, WAY, IN_ALONG, IN_ACROSS, OUT_ALONG, OUT_ACROSS = range(6)
"""What a table keeps of a rectangle: its extent along the table's axis, the hops inside, the centres of its first and
last block."""
IN, OUT = (IN_ALONG, IN_ACROSS), (OUT_ALONG, OUT_ACROSS)
NONE = np.float32(1e9)
"""The length of a rectangle that there is not."""


class Table:
    """Best rectangles of runs by their extent across an axis.

    A run's place in the arrays follows from its first block and size; behind those of up to ``most`` blocks come all
    that begin with the first block. Places that are not written hold nothing, and are not read.
    """

    def __init__(self, single: np.ndarray, longest: int, bonds: np.ndarray, price: float, most: int) -> None:
        count, extents = single.shape
        self.longest, self.bonds, self.price = longest, bonds.astype(np.float32), np.float32(price)
        self.across = np.arange(extents, dtype=np.float32)
        self.row, self.whole = most + 1, count * (most + 1)
        places = self.whole + count + 1
        self.state = np.empty((6, places, extents), dtype=np.float32)
        self.left = np.empty((3, places, extents), dtype=np.float32)
        """Of the part before a cut: length, price, and how far its end is from the middle."""
        self.right = np.empty((3, count + 1, self.row, extents), dtype=np.float32)
        """The same of the part after a cut, by the block beyond its last and size."""
        self.cut = np.empty((places, extents), dtype=np.int16)
        """Blocks before the cut."""
        self.turned = np.empty((places, extents), dtype=np.int16)
        """Where the cut goes the other way: the extent across it; else −1."""
        area = (single * self.across)[:, 1:].min(axis=1)
        self.area = np.concatenate([[0], area.cumsum(dtype=np.float64)])
        """Of all blocks before each one, at least."""
        middle = np.broadcast_to(self.across / 2, single.shape)
        state = np.array([single, np.where(single < NONE, 0, NONE), single / 2, middle, single / 2, middle])
        nothing = np.full(single.shape, -1)
        self._store(np.arange(count), 1, state, (nothing, nothing))

    def place(self, first: np.ndarray | int, size: np.ndarray | int) -> np.ndarray:
        """Where the run is kept."""
        return np.where(np.less(size, self.row), np.multiply(first, self.row) + size, np.add(self.whole, size))

    def of(self, first: int, size: int, across: int) -> np.ndarray:
        """The state of a run."""
        return np.asarray(self.state[:, self.place(first, size), across])

    def joined(self, firsts: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The best cut across the axis of each run, by extent across, and the state that it gives."""
        low = int((self.area[firsts + size] - self.area[firsts]).min() // self.longest)  # runs need this at least
        cut = np.zeros((len(firsts), len(self.across)), dtype=np.int16)
        state = np.full((6, *cut.shape), NONE)
        if low < len(self.across):
            cut[:, low:], state[..., low:] = self._cheapest(firsts, size, low)
        return cut, state

    def _cheapest(self, firsts: np.ndarray, size: int, low: int) -> tuple[np.ndarray, np.ndarray]:
        """The same from the extent ``low`` on."""
        least, stop = max(1, size - self.row + 1), firsts[-1] + 1
        if size > self.row:
            left = self.left[:, None, self.whole + least : self.whole + size, low:]
        else:
            by_size = self.left[:, : self.whole].reshape(3, -1, self.row, len(self.across))
            left = by_size[:, firsts[0] : stop, least:size, low:]
        right = self.right[:, firsts[0] + size : stop + size, size - least : 0 : -1, low:]
        price = left[1] + right[1]
        price += np.abs(left[2] - right[2])
        np.putmask(price, left[0] + right[0] > self.longest, np.inf)
        cut = price.argmin(axis=1) + least
        first, across = firsts[:, None], self.across[low:]
        at = across.astype(np.intp)
        parts = self.place(first, cut), self.place(first + cut, size - cut)
        state = _joined(self.state[:, parts[0], at], self.state[:, parts[1], at], across)
        state[WAY] = price.min(axis=1) - self.price * across * state[LENGTH]
        state[:2, state[LENGTH] > self.longest] = NONE
        return cut, state

    def keep(self, firsts: np.ndarray, size: int, own: tuple[np.ndarray, np.ndarray], other: np.ndarray) -> None:
        """Per extent across: the better of ``own`` and the narrowest rectangle that is cut the other way."""
        cut, state = own
        rows, extents = np.arange(len(firsts))[:, None], len(self.across)
        at = _least_within(other[LENGTH], extents)
        turned = other[:, rows, np.minimum(at, other.shape[2] - 1)][
            [LENGTH, WAY, IN_ACROSS, IN_ALONG, OUT_ACROSS, OUT_ALONG]
        ]
        turned[LENGTH] = at
        turned[:2, at == other.shape[2]] = NONE
        better = self._worth(turned) < self._worth(state)
        self._store(firsts, size, np.where(better, turned, state), (cut, np.where(better, at, -1)))

    def _worth(self, state: np.ndarray) -> np.ndarray:
        return np.asarray(self.price * self.across * state[LENGTH] + state[WAY])

    def _store(self, firsts: np.ndarray, size: int, state: np.ndarray, choice: tuple[np.ndarray, np.ndarray]) -> None:
        left, right = (self._price(state, *way) for way in ((self.bonds[firsts + size], OUT), (self.bonds[firsts], IN)))
        places, rows = self.place(firsts, size), np.arange(len(firsts))
        if firsts[0] == 0:
            places, rows = np.append(places, self.whole + size), np.append(rows, 0)
        self.state[:, places], self.left[:, places] = state[:, rows], left[:, rows]
        self.cut[places], self.turned[places] = choice[0][rows], choice[1][rows]
        if size < self.row:
            self.right[:, firsts + size, size] = right

    def _price(self, state: np.ndarray, bond: np.ndarray, end: tuple[int, int]) -> np.ndarray:
        """Length, price with the way to the seam, and distance from the middle, of a part whose ``end`` is joined."""
        along, across = state[end[0]], state[end[1]]
        to_seam = np.minimum(along, state[LENGTH] - along)
        aside = np.abs(across - self.across / 2)
        return np.array([state[LENGTH], self._worth(state) + bond[:, None] * to_seam, bond[:, None] * aside])


def flipped(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether the part before, and the part after a cut are mirrored along the axis, to meet at the cut."""
    return left[LENGTH] - left[OUT_ALONG] > left[OUT_ALONG], right[IN_ALONG] > right[LENGTH] - right[IN_ALONG]


def crossed(left: np.ndarray, right: np.ndarray, across: np.ndarray | int) -> np.ndarray:
    """Whether the part after a cut is mirrored across the axis."""
    out, into = left[OUT_ACROSS], right[IN_ACROSS]
    return np.asarray(np.abs(out - into) > np.abs(out - (across - into)))


def _joined(left: np.ndarray, right: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The state of two parts one after another."""
    start = np.where(flipped(left, right)[0], left[LENGTH] - left[IN_ALONG], left[IN_ALONG])
    stop = np.where(flipped(left, right)[1], right[LENGTH] - right[OUT_ALONG], right[OUT_ALONG])
    side = np.where(crossed(left, right, across), across - right[OUT_ACROSS], right[OUT_ACROSS])
    way = left[WAY] + right[WAY]
    return np.array([left[LENGTH] + right[LENGTH], way, start, left[IN_ACROSS], left[LENGTH] + stop, side])


def _least_within(lengths: np.ndarray, extents: int) -> np.ndarray:
    """Per row: the first place whose length is at most 0, 1, … ``extents`` − 1; the row's size where none is."""
    rows, size = lengths.shape
    falling = np.minimum.accumulate(lengths, axis=1).clip(max=extents)
    offsets = np.arange(rows)[:, None] * (2 * extents)
    found = np.searchsorted((offsets - falling).ravel(), (offsets - np.arange(extents)).ravel())
    return np.asarray(found.reshape(rows, extents) - np.arange(rows)[:, None] * size)

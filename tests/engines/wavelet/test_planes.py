"""Bit planes against numpy arrays and plain integers."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_emu.engines.wavelet import planes
from wse_emu.engines.wavelet.planes import Grid, RunLimit, Tally, Turns, has, nonzero, sliced, step_by_one, take_one
from wse_emu.fabric.directions import DIRECTIONS

WIDTHS = st.sampled_from((1, 2, 3, 62, 63, 64, 65, 66, 100, 127, 128, 129, 191, 192, 193))
GRIDS = st.builds(Grid, st.integers(1, 6), WIDTHS)
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=60, deadline=None)


def some(grid: Grid, seed: int, *lead: int) -> np.ndarray:
    """Bool ``[…, rows, cols]``, with few or many set."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.random((*lead, grid.rows, grid.cols)) < rng.choice((0.02, 0.5, 0.98)))


def values(grid: Grid, counters: np.ndarray) -> np.ndarray:
    """Bit-sliced numbers ``[bits, words]`` as int64 ``[rows, cols]``."""
    return np.asarray(sum(grid.unpack(plane).astype(np.int64) << place for place, plane in enumerate(counters)))


def planes_of(grid: Grid, numbers: np.ndarray, bits: int) -> np.ndarray:
    """Int ``[rows, cols]`` as bit-sliced numbers."""
    return grid.pack(np.stack([(numbers >> place & 1).astype(bool) for place in range(bits)]))


@quick
@given(grid=GRIDS, seed=SEEDS, lead=st.sampled_from(((), (3,), (2, 3))))
def test_what_is_packed_can_be_unpacked(grid: Grid, seed: int, lead: tuple[int, ...]) -> None:
    held = some(grid, seed, *lead)
    plane = grid.pack(held)
    assert plane.shape == (*lead, grid.words)
    np.testing.assert_array_equal(grid.unpack(plane), held)
    assert np.bitwise_count(plane).sum() == held.sum(), "nothing but PEs is set"


@quick
@given(grid=GRIDS, seed=SEEDS)
def test_the_bit_of_a_pe_counts_words_of_its_row(grid: Grid, seed: int) -> None:
    held = some(grid, seed)
    plane = grid.pack(held)
    stride = -(-grid.cols // 64) * 64
    bits = np.array([y * stride + x for y, x in np.argwhere(held)], dtype=np.int64)
    np.testing.assert_array_equal(grid.members(plane), bits)
    np.testing.assert_array_equal(grid.mask(bits), plane)
    np.testing.assert_array_equal(has(plane, np.arange(grid.rows * stride)), np.isin(np.arange(grid.bits), bits))
    for bit in bits[:20].tolist():
        assert int(plane[bit // 64]) >> bit % 64 & 1


@quick
@given(grid=GRIDS, seed=SEEDS, lead=st.sampled_from(((), (3,))), way=st.sampled_from(list(DIRECTIONS)))
def test_towards_moves_every_bit_to_its_neighbour(grid: Grid, seed: int, lead: tuple[int, ...], way: int) -> None:
    direction = DIRECTIONS[way]
    dx, dy = direction.step
    held = some(grid, seed, *lead)
    expected = np.zeros_like(held)
    for y in range(grid.rows):
        for x in range(grid.cols):
            if 0 <= y + dy < grid.rows and 0 <= x + dx < grid.cols:
                expected[..., y + dy, x + dx] = held[..., y, x]
            else:
                held[..., y, x] = False  # routes never leave the box
    plane = grid.pack(held)
    found = grid.towards(direction, plane, np.empty_like(plane))
    np.testing.assert_array_equal(grid.unpack(found), expected)


@quick
@given(grid=GRIDS, seed=SEEDS, bits=st.integers(1, 6))
def test_counters_step_like_integers(grid: Grid, seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    shape, most = (grid.rows, grid.cols), (1 << bits) - 1
    numbers = rng.integers(0, most + 1, shape)
    counters, scratch = planes_of(grid, numbers, bits), grid.zeros(2)
    for _ in range(12):
        up, down = rng.random((2, *shape)) < 0.5
        up &= (numbers < most) | down
        down &= (numbers > 0) | up
        step_by_one(counters, grid.pack(up), grid.pack(down), *scratch)
        numbers = numbers + up - down
        less = rng.random(shape) < 0.3
        borrow = grid.pack(less)
        take_one(counters, borrow)
        np.testing.assert_array_equal(grid.unpack(borrow), less & (numbers == 0))
        numbers = (numbers - less) % (most + 1)
        np.testing.assert_array_equal(values(grid, counters), numbers)
        np.testing.assert_array_equal(grid.unpack(nonzero(counters)), numbers != 0)


@given(number=st.integers(0, 1000))
def test_sliced_are_the_bits_of_a_number(number: int) -> None:
    assert sum(1 << place for place, bit in enumerate(sliced(number, 10)) if bit) == number


INTERVALS = st.one_of(st.integers(1, 20).map(Fraction), st.integers(1, 20).map(lambda b: Fraction(b + 1, b)))


def may_move(moved: list[bool], interval: Fraction) -> bool:
    """With (b+1)/b, at most b cycles in a row, and then a pause of one; with n, n − 1 cycles of pause after each."""
    if interval.denominator > 1:
        return not (len(moved) >= interval.denominator and all(moved[-interval.denominator :]))
    return interval == 1 or not any(moved[-(int(interval) - 1) :])


@settings(max_examples=100, deadline=None)
@given(interval=INTERVALS, seed=SEEDS, eager=st.sampled_from((0.3, 0.9, 1.0)))
def test_a_limit_lets_move_as_the_page_says(interval: Fraction, seed: int, eager: float) -> None:
    """Two planes of 20 links, which move when they may and like to, and rest together now and then."""
    rng, grid, limit = np.random.default_rng(seed), Grid(1, 20), RunLimit(interval, 2, 1)
    links, rests = list(np.ndindex(2, 1, 20)), 0
    before: dict[tuple[int, ...], list[bool]] = {link: [] for link in links}
    for _ in range(120):
        rests = rests - 1 if rests else int(rng.integers(1, 60)) * (rng.random() < 0.03)
        free = np.array([may_move(before[link], interval) for link in links]).reshape(2, 1, 20)
        np.testing.assert_array_equal(grid.unpack(limit.blocked), ~free)
        assert limit.some == (~free).any(axis=(1, 2)).tolist()
        now = free & (rng.random(free.shape) < (0 if rests else eager))
        for link in links:
            before[link].append(bool(now[link]))
        limit.moved(grid.pack(now), anything=bool(now.any()))


@given(b=st.integers(1, 16), words=st.integers(1, 60))
def test_a_limit_keeps_a_stream_to_what_is_due(b: int, words: int) -> None:
    """A stream that moves whenever it may is done with its k-th wavelet ⌈k · (b+1)/b⌉ − 2 cycles after the first."""
    limit, time = RunLimit(Fraction(b + 1, b), 1, 1), 0
    times: list[int] = []
    while len(times) < words:
        moves = not limit.blocked[0, 0]
        times += [time] * moves
        limit.moved(np.array([[int(moves)]], dtype=np.uint64), anything=moves)
        time += 1
    assert times == [-(-k * (b + 1) // b) - 2 for k in range(1, words + 1)]


class Waiting:
    """Whose turn it is at one PE, as a list: those who moved longest ago first, at the start the lower color."""

    def __init__(self, colors: int) -> None:
        self.order = list(range(colors))

    def choose(self, can: list[bool], sharing: set[tuple[int, int]]) -> list[bool]:
        able = [color for color in self.order if can[color]]
        return [
            one and not any((min(c, o), max(c, o)) in sharing for o in able[: able.index(c)])
            for c, one in enumerate(can)
        ]

    def move(self, moved: list[bool]) -> None:
        last = [c for c in range(len(moved)) if moved[c]]
        self.order = [c for c in self.order if c not in last] + last


SHAPES = st.sampled_from(((1, 3), (2, 65), (12, 2)))


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, colors=st.integers(2, 5), share=st.sampled_from((0.05, 0.7)), few=st.booleans(), seed=SEEDS)
def test_turns_are_taken_as_in_a_list(shape: tuple[int, int], colors: int, share: float, few: bool, seed: int) -> None:
    """``few``: only the words in which any pair competes are worked on."""
    rng, grid = np.random.default_rng(seed), Grid(*shape)
    shared = {pair: rng.random(shape) < share for pair in combinations(range(colors), 2)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes, "FEW", 2 if few else 0)
        turns = Turns({pair: grid.pack(where) for pair, where in shared.items()})
    turns.use({color: color for color in range(colors)})
    lists = {place: Waiting(colors) for place in np.ndindex(shape)}
    for _ in range(15):
        can = rng.random((colors, *shape)) < rng.choice((0.05, 0.6))
        expected = np.zeros_like(can)
        for place, one in lists.items():
            sharing = {pair for pair, where in shared.items() if where[place]}
            expected[(slice(None), *place)] = one.choose(can[(slice(None), *place)].tolist(), sharing)
        left = grid.pack(can)
        assert turns.choose(left) == bool((can & ~expected).any())
        np.testing.assert_array_equal(grid.unpack(left), expected)
        moved = expected & (rng.random(expected.shape) < 0.9)
        turns.moved(grid.pack(moved))
        for place, one in lists.items():
            one.move(moved[(slice(None), *place)].tolist())


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_turns_of_colors_that_come_and_go_are_kept(seed: int) -> None:
    """Colors 0 to 3 at one PE; those that are away do not move."""
    rng, pairs = np.random.default_rng(seed), list(combinations(range(4), 2))
    turns, told = Turns({pair: np.ones(1, dtype=np.uint64) for pair in pairs}), Waiting(4)
    for _ in range(12):
        here = [c for c in range(4) if rng.random() < 0.6]
        turns.use({color: i for i, color in enumerate(here)})
        for _ in range(rng.integers(1, 5)):
            can = [c in here and bool(rng.random() < 0.7) for c in range(4)]
            expected = told.choose(can, set(pairs))
            left = np.array([[int(can[c])] for c in here], dtype=np.uint64).reshape(-1, 1)
            if turns.live:
                turns.choose(left)
            assert left.ravel().tolist() == [int(expected[c]) for c in here]
            turns.moved(left)
            told.move(expected)
        turns.settle()


@settings(max_examples=15, deadline=None)
@given(grid=st.builds(Grid, st.integers(1, 2), WIDTHS), seed=SEEDS, adds=st.integers(301, 1300))
def test_a_tally_counts_every_add(grid: Grid, seed: int, adds: int) -> None:
    """So many that all levels carry; totals are asked for in between, too."""
    rng = np.random.default_rng(seed)
    share = rng.random((2, grid.rows, grid.cols))
    share[rng.random(share.shape) < 0.3] = 1
    told = rng.random((adds, *share.shape)) < share
    counts, tally = np.cumsum(told, axis=0), Tally(grid, 2)
    looks = set(rng.integers(0, adds + 1, 6).tolist()) | {255, 256, 257, 511, 512, adds - 1}
    for i, added in enumerate(grid.pack(told)):
        tally.add(added)
        if i in looks:
            np.testing.assert_array_equal(tally.total(), counts[i])
    assert tally.total().dtype == np.int64

"""Slicing floorplans: as narrow as the best of all trees of cuts, and laid out as the tables say."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_emu.mappings.placement.strategies import slicing
from wse_emu.mappings.placement.strategies.slicing import Slicing

COLUMNS, ROWS = 11, 8
Sizes = tuple[tuple[int, int], ...]
blocks = st.lists(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=3).map(tuple), max_size=6
)
"""(width, height) that each block may have."""


def filled(sizes: list[Sizes], price: float, bonds: np.ndarray | None = None) -> Slicing:
    def least(own: Sizes, by: int, most: int) -> np.ndarray:
        fitting = [[one[1 - by] for one in own if one[by] <= extent] for extent in range(most + 1)]
        return np.array([min(one, default=np.inf) for one in fitting])

    curves = [(least(own, 1, ROWS), least(own, 0, COLUMNS)) for own in sizes]
    made = Slicing(curves, np.ones(len(sizes) + 1) if bonds is None else bonds, price)
    assert made.fill(lambda: True)
    return made


def narrowest(sizes: list[Sizes]) -> dict[tuple[int, int, int], float]:
    """The least width by (first, beyond, height), of all ways to cut the run's rectangle."""

    @cache
    def least(first: int, beyond: int, height: int) -> float:
        if beyond == first + 1:
            return min((w for w, h in sizes[first] if h <= height), default=np.inf)
        beside = [least(first, at, height) + least(at, beyond, height) for at in range(first + 1, beyond)]
        stacked = [
            max(least(first, at, high), least(at, beyond, height - high))
            for at in range(first + 1, beyond)
            for high in range(1, height)
        ]
        return min(beside + stacked, default=np.inf)

    runs = [(i, j) for i in range(len(sizes)) for j in range(i + 1, len(sizes) + 1)]
    return {(i, j, height): least(i, j, height) for i, j in runs for height in range(1, ROWS + 1)}


@settings(max_examples=40, deadline=None)
@given(sizes=blocks.filter(bool))
def test_where_area_is_dear_no_cuts_are_narrower(sizes: list[Sizes]) -> None:
    made = filled(sizes, 1e4)
    for (first, beyond, height), width in narrowest(sizes).items():
        for limit in range(1, COLUMNS + 1):
            assert made.fits(first, beyond, limit, height) == (width <= limit)


@settings(max_examples=60, deadline=None)
@given(sizes=blocks.filter(bool), price=st.sampled_from((1e-3, 0.1, 10.0)), seed=st.integers(0, 99))
def test_layouts_are_what_the_tables_say(sizes: list[Sizes], price: float, seed: int) -> None:
    """Inside, apart from each other, in sizes that the blocks may have, and as far apart as counted."""
    bonds = np.random.default_rng(seed).integers(0, 4, len(sizes) + 1).astype(float)
    made = filled(sizes, price, bonds)
    for height in range(1, ROWS + 1):
        if not made.fits(0, len(sizes), COLUMNS, height):
            continue
        layout = made.layout(0, len(sizes), height)
        taken = np.zeros((height, COLUMNS), dtype=int)
        for own, (x, y, wide, high) in zip(sizes, layout.boxes.astype(int), strict=True):
            assert (wide, high) in own
            assert (taken[y : y + high, x : x + wide].shape) == (high, wide)
            taken[y : y + high, x : x + wide] += 1
        assert taken.max() == 1
        middles = layout.boxes[:, :2] + layout.boxes[:, 2:] / 2
        way = np.abs(np.diff(middles, axis=0)).sum(axis=1) @ bonds[1:-1]
        half_tiles = bonds[1:-1].sum()  # what is in the middle of an odd gap moves by half a tile, at each end
        assert way == pytest.approx(made.way(0, len(sizes), height), abs=half_tiles + 1e-2)


def test_a_cheap_area_gives_one_row_and_a_dear_one_a_square() -> None:
    tiles: list[Sizes] = [((2, 2),)] * 4
    assert filled(tiles, 1e-3).way(0, 4, 4) == pytest.approx(6, abs=0.01), "four in a snake, two hops each"
    assert filled(tiles, 1e3).fits(0, 4, 4, 4)


def test_long_chains_are_cut_from_the_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicing, "WORK", 0)
    made = filled([((1, 2), (2, 1))] * 30, 1.0)
    assert made.longest == 8
    assert made.known(0, 30)
    assert made.known(3, 11)
    assert not made.known(3, 12)
    assert made.fits(0, 30, 10, ROWS)
    taken = np.zeros((ROWS, COLUMNS), dtype=int)
    for x, y, wide, high in made.layout(0, 30, ROWS).boxes.astype(int):
        taken[y : y + high, x : x + wide] += 1
    assert taken.sum() == 60
    assert taken.max() == 1


def test_filling_stops_where_it_is_told() -> None:
    curves = [(np.ones(5), np.ones(5))] * 4
    assert not Slicing(curves, np.ones(5), 1.0).fill(lambda: False)

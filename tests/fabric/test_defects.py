from pathlib import Path

import numpy as np
import pytest

from wse_emu.errors import WseError
from wse_emu.fabric import Defects
from wse_emu.fabric.defects import read_defects


def test_links_are_dead_both_ways() -> None:
    defects = Defects.of(links=[((1, 1), (2, 1))])
    assert defects.cuts((1, 1), (2, 1))
    assert defects.cuts((2, 1), (1, 1))
    assert not defects.cuts((1, 1), (1, 2))
    assert not Defects().cuts((1, 1), (2, 1))


@pytest.mark.parametrize("link", [((0, 0), (2, 0)), ((0, 0), (1, 1)), ((0, 0), (0, 0))])
def test_links_join_neighbours(link: tuple[tuple[int, int], tuple[int, int]]) -> None:
    with pytest.raises(WseError, match="a link joins neighbours, one apart along x or y"):
        Defects.of(links=[link])


def test_masks_are_rows_by_columns() -> None:
    dead = np.zeros((3, 5), np.bool_)
    dead[2, 4] = dead[0, 1] = True
    defects = Defects.of_mask(dead)
    assert defects.pes == {(4, 2), (1, 0)}
    assert all(type(x) is int for pe in defects.pes for x in pe)
    assert (defects.mask(5, 3) == dead).all()


@pytest.mark.parametrize("dead", [np.zeros((3, 5)), np.zeros(5, np.bool_)])
def test_masks_of_another_kind_are_refused(dead: np.ndarray) -> None:
    with pytest.raises(WseError, match=r"booleans \[rows, columns\] work"):
        Defects.of_mask(dead)


@pytest.mark.parametrize("clustered", [False, True])
def test_random_defects_follow_rate_and_seed(clustered: bool) -> None:
    def draw(rate: float, seed: int) -> Defects:
        return Defects.random(200, 100, rate, seed, clustered=clustered)

    assert draw(0.01, 5) == draw(0.01, 5) != draw(0.01, 6)
    assert len(draw(0.0, 1).pes) == 0
    assert len(draw(1.0, 1).pes) == 20_000
    assert draw(1.0, 1).mask(200, 100).all()
    for seed in range(5):
        assert abs(len(draw(0.05, seed).pes) - 1000) < 5 * (20_000 * 0.05 * 0.95) ** 0.5
    if clustered:
        assert len(draw(0.05, 1).pes) == 1000


def test_clustered_defects_lie_together() -> None:
    """Of independent defects at 2 %, some 4 % have a dead neighbour along an axis; of clustered ones most."""
    for seed in range(3):
        for axis in (0, 1):
            alone, together = (
                share_beside_another(Defects.random(200, 100, 0.02, seed, clustered=c), axis) for c in (False, True)
            )
            assert alone < 0.12
            assert together > 0.8


def share_beside_another(defects: Defects, axis: int) -> float:
    dead = np.pad(defects.mask(200, 100), 1)
    beside = np.roll(dead, 1, axis) | np.roll(dead, -1, axis)
    return float((dead & beside).sum() / dead.sum())


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_rates_are_shares(rate: float) -> None:
    with pytest.raises(WseError, match=r"defect rate .*: 0 to 1 works"):
        Defects.random(4, 4, rate, 0)


def test_defects_are_named_by_rate_or_file(tmp_path: Path) -> None:
    assert read_defects("0.02", 200, 100) == Defects.random(200, 100, 0.02, 0)
    assert read_defects("clustered:0.02", 200, 100) == Defects.random(200, 100, 0.02, 0, clustered=True)
    file = tmp_path / "dead.json"
    file.write_text('{"pes": [[1, 0], [4, 2]], "links": [[[1, 1], [2, 1]]]}', "utf-8")
    assert read_defects(str(file), 5, 3) == Defects.of([(1, 0), (4, 2)], [((1, 1), (2, 1))])
    file.write_text("{}", "utf-8")
    assert not read_defects(str(file), 5, 3)


FILES = {
    "[": "no JSON",
    "[" * 100_000: "no JSON",
    "[]": "not an object of pes and links",
    '{"dead": []}': "not an object of pes and links",
    '{"pes": 3}': "pes or links is no list",
    '{"pes": [[1]]}': "PE [1] is no [x, y]",
    '{"pes": [[1, 2.5]]}': "PE [1, 2.5] is no [x, y]",
    '{"pes": [[true, 1]]}': "PE [true, 1] is no [x, y]",
    '{"links": [[[0, 0], [0, 1], [0, 2]]]}': "is no pair of PEs",
    '{"links": [[[0, 0], [2, 0]]]}': "a link joins neighbours",
    '{"pes": [[5, 0]]}': "PE (5, 0) is off the mesh of 5×3 PEs; columns 0 to 4 and rows 0 to 2 work",
    '{"links": [[[0, 0], [0, -1]]]}': "PE (0, -1) is off the mesh",
}


@pytest.mark.parametrize("held", FILES)
def test_files_of_another_kind_are_refused(held: str, tmp_path: Path) -> None:
    file = tmp_path / "dead.json"
    file.write_text(held, "utf-8")
    with pytest.raises(WseError) as caught:
        read_defects(str(file), 5, 3)
    assert FILES[held] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "none", "clustered:", "clustered:few", "0.1%"])
def test_what_names_no_defects_is_refused_with_what_does(text: str) -> None:
    with pytest.raises(WseError, match=r"a rate from 0 to 1, clustered:RATE, or a JSON file .* works"):
        read_defects(text, 5, 3)

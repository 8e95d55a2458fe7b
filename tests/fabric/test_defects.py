import numpy as np
import pytest

from wse_emu.errors import WseError
from wse_emu.fabric import Defects


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

"""Drawn routings, and the load of the busiest expert, against enumeration."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.program.routing import busiest_load, check_chances, draw, drawn_routing


@given(count=st.integers(1, 12), tokens=st.integers(1, 20), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_a_token_meets_different_experts(count: int, tokens: int, seed: int, data: st.DataObject) -> None:
    active = data.draw(st.integers(1, count))
    found = draw(check_chances(None, count, active), active, tokens, np.random.default_rng(seed))
    assert found.shape == (tokens, active)
    assert all(len(set(row)) == active and min(row) >= 0 and max(row) < count for row in found.tolist())


def test_experts_are_drawn_by_their_chances() -> None:
    """Of weights 6, 3, 1: first 60 %, 30 %, 10 %; two of them as one after the other without replacement."""
    weights = check_chances([6, 3, 1], 3, 2)
    found = draw(weights, 2, 40_000, np.random.default_rng(0))
    first = np.bincount(found[:, 0], minlength=3) / len(found)
    np.testing.assert_allclose(first, [0.6, 0.3, 0.1], atol=0.01)
    both = dict.fromkeys(combinations(range(3), 2), 0.0)
    for a, b in both:
        both[a, b] = weights[a] * weights[b] / (1 - weights[a]) + weights[b] * weights[a] / (1 - weights[b])
    pairs = [tuple(sorted(row)) for row in found.tolist()]
    for pair, chance in both.items():
        assert pairs.count(pair) / len(pairs) == pytest.approx(chance, abs=0.01)


@pytest.mark.parametrize(("count", "active", "tokens"), [(2, 1, 3), (3, 2, 3), (4, 3, 2), (5, 5, 4)])
def test_the_busiest_of_several_is_that_of_all_cases(count: int, active: int, tokens: int) -> None:
    cases = list(product(combinations(range(count), active), repeat=tokens))
    loads = [np.bincount(np.array(case).ravel(), minlength=count).max() for case in cases]
    assert busiest_load(count, active, tokens, draws=4000) == pytest.approx(np.mean(loads), rel=0.02)


def test_many_tokens_even_out_and_chances_do_not() -> None:
    assert busiest_load(8, 2, 1) == 1
    assert busiest_load(8, 2, 4000) == pytest.approx(1000, rel=0.1)
    assert busiest_load(8, 2, 4000, [30, *[1] * 7]) > 3000


def test_a_routing_is_the_same_for_the_same_seed() -> None:
    found = drawn_routing({1: 8, 3: 4}, 2, 5)
    assert found == drawn_routing({1: 8, 3: 4}, 2, 5) != drawn_routing({1: 8, 3: 4}, 2, 6)
    assert [layer for layer, _ in found] == [1, 3]
    certain = drawn_routing({0: 3}, 2, 0, [1, 0, 1])
    assert set(certain[0][1]) == {0, 2}


@pytest.mark.parametrize(
    ("chances", "said"),
    [
        ([1, 2], "chances of 3 experts: as many numbers that are not negative work, got 2"),
        ([1, -2, 3], "not negative"),
        ([1, float("nan"), 3], "not negative"),
        ([1, 0, 0], "1 experts have a chance above 0; a token meets 2"),
    ],
)
def test_chances_that_no_draw_has(chances: list[float], said: str) -> None:
    with pytest.raises(WseError, match=said):
        check_chances(chances, 3, 2)

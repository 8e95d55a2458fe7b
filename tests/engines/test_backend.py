from collections.abc import Callable
from functools import cache
from typing import Any

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines import published
from wse_emu.engines.backend import Backend, load_backend
from wse_emu.errors import WseError
from wse_emu.program import schedule

DTYPES = ("float32", "float16")
BLOCKS: tuple[tuple[int, ...], ...] = ((), (1,), (1, 1, 1), (2,), (3, 1), (1, 4), (2, 3, 2))


@cache
def backend(name: str) -> Backend:
    return Backend("strict", array_api_strict) if name == "strict" else load_backend(name)


def numbers(seed: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Values over many magnitudes, so that nearly every other order of adding gives other bits."""
    rng = np.random.default_rng(seed)
    reach = 3 if dtype == "float16" else 12
    return np.asarray(rng.standard_normal(shape) * 10.0 ** rng.uniform(-reach, reach, shape)).astype(dtype)


def combine(name: str, algorithm: str, values: tuple[np.ndarray, ...], operation: str) -> tuple[np.ndarray, ...]:
    own = backend(name)
    plan = schedule(algorithm, values[0].shape[0])
    return tuple(own.numpy(r) for r in own.combine(plan, tuple(own.array(v) for v in values), operation))


def assert_same_bits(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert got.tobytes() == np.ascontiguousarray(expected).tobytes()


def one_by_one(algorithm: str, values: np.ndarray, operation: Callable[[Any, Any], Any]) -> np.ndarray:
    """The published order for every number of the block by itself, with scalars."""
    lines = values.reshape(values.shape[0], -1).T
    results = [published.fold(algorithm, list(line), operation) for line in lines]
    return np.array(results, dtype=values.dtype).reshape(values.shape[1:])


@pytest.mark.parametrize(("name", "dtype"), [("numpy", "float32"), ("numpy", "float16"), ("strict", "float32")])
@pytest.mark.parametrize("algorithm", published.ALGORITHMS)
@settings(max_examples=20, deadline=None)
@given(extent=st.integers(1, 70), block=st.sampled_from(BLOCKS), seed=st.integers(0, 2**32 - 1))
def test_sums_are_added_in_the_published_order(  # noqa: PLR0917
    name: str, dtype: str, algorithm: str, extent: int, block: tuple[int, ...], seed: int
) -> None:
    """`strict` knows no float16."""
    values = numbers(seed, (extent, *block), dtype)
    (total,) = combine(name, algorithm, (values,), "add")
    assert_same_bits(total, one_by_one(algorithm, values, lambda a, b: a + b))


@pytest.mark.parametrize("algorithm", published.ALGORITHMS)
@settings(max_examples=25, deadline=None)
@given(
    extent=st.integers(2, 70),
    others=st.integers(1, 5),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_order_does_not_depend_on_how_the_values_lie_in_memory(
    algorithm: str, extent: int, others: int, dtype: str, seed: int
) -> None:
    """A sum along x is over the fast axis of the array, where numpy likes to sum pairwise."""
    values = np.moveaxis(numbers(seed, (others, extent), dtype), 1, 0)
    (total,) = combine("numpy", algorithm, (values,), "add")
    assert_same_bits(total, one_by_one(algorithm, values, lambda a, b: a + b))


@pytest.mark.parametrize("algorithm", published.ALGORITHMS)
@pytest.mark.parametrize(("block", "dtype"), [((1,), "float32"), ((3,), "float16")])
def test_jax_adds_in_the_published_order_inside_and_outside_a_compiled_body(
    algorithm: str, block: tuple[int, ...], dtype: str
) -> None:
    jax = pytest.importorskip("jax")
    own = backend("jax")
    extents = (1, 2, 3, 6, 9, 17, 38)
    values = [numbers(extent, (extent, *block), dtype) for extent in extents]
    plans = [schedule(algorithm, extent) for extent in extents]

    def all_at_once(arrays: list[Any]) -> list[Any]:
        return [own.combine(plan, (array,), "add")[0] for plan, array in zip(plans, arrays, strict=True)]

    arrays = [own.array(v) for v in values]
    for got, one in zip(jax.jit(all_at_once)(arrays), values, strict=True):
        assert_same_bits(own.numpy(got), one_by_one(algorithm, one, lambda a, b: a + b))
    assert_same_bits(
        own.numpy(own.combine(plans[4], (arrays[4],), "add")[0]), one_by_one(algorithm, values[4], lambda a, b: a + b)
    )


SWALLOWED = (1, 2, 4, -1e10, 1e10, 8, 16, 32, 64)
"""Beside 1e10 in float32 the small ones vanish, each leaving its own gap in the sum."""


@pytest.mark.parametrize("name", ["numpy", "jax", "strict"])
@pytest.mark.parametrize(
    ("algorithm", "total"),
    [
        ("chain", 7),  # 64 … 8 vanish in 1e10, which −1e10 takes away; then 4, 2, 1
        ("two_way", 0),  # 64 + 32 + 16 + 8 vanish in the middle's 1e10; 1, 2, 4 in −1e10, which takes it away
        ("tree", 64),  # (1+2) + (4−1e10) and (1e10+8) + (16+32) cancel; then 64
        ("two_phase", 119),  # 4 + 2 + 1; (8 + 1e10) − 1e10 = 0; 64 + 32 + 16; then 112 + 0 + 7
        ("ktree:3", 119),  # to the middles: 7; (8 + 1e10) − 1e10 = 0; 112
    ],
)
def test_numbers_that_tell_the_algorithms_apart(name: str, algorithm: str, total: float) -> None:
    values = np.array(SWALLOWED, dtype=np.float32)[:, None]
    (got,) = combine(name, algorithm, (values,), "add")
    assert got.tolist() == [total]


@pytest.mark.parametrize("name", ["numpy", "strict"])
@pytest.mark.parametrize("algorithm", published.ALGORITHMS)
@settings(max_examples=10, deadline=None)
@given(extent=st.integers(1, 70), block=st.sampled_from(BLOCKS), seed=st.integers(0, 2**32 - 1))
def test_max_is_the_largest(name: str, algorithm: str, extent: int, block: tuple[int, ...], seed: int) -> None:
    values = numbers(seed, (extent, *block), "float32")
    (got,) = combine(name, algorithm, (values,), "max")
    assert_same_bits(got, np.max(values, axis=0))


@pytest.mark.parametrize("name", ["numpy", "strict"])
@pytest.mark.parametrize("algorithm", published.ALGORITHMS)
@settings(max_examples=15, deadline=None)
@given(extent=st.integers(1, 40), levels=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_the_lowest_index_wins_a_tie(name: str, algorithm: str, extent: int, levels: int, seed: int) -> None:
    assert_lowest_wins(name, algorithm, extent, levels, seed)


@pytest.mark.parametrize("algorithm", ["chain", "tree", "ktree:3"])
def test_the_lowest_index_wins_a_tie_on_jax(algorithm: str) -> None:
    assert_lowest_wins("jax", algorithm, 13, 2, 0)


def assert_lowest_wins(name: str, algorithm: str, extent: int, levels: int, seed: int) -> None:
    """Few levels make many ties; the indices stand in no order along the line."""
    rng = np.random.default_rng(seed)
    values = rng.choice(np.array([-np.inf, -1, 0, 2], dtype=np.float32)[-levels:], (extent, 3))
    indices = np.stack([rng.permutation(extent) for _ in range(3)], axis=1).astype(np.int32)
    best, index = combine(name, algorithm, (values, indices), "argmax")
    for column in range(3):
        largest = max(values[:, column].tolist())
        places = [i for v, i in zip(values[:, column], indices[:, column], strict=True) if v == largest]
        assert best[column] == largest
        assert index[column] == min(places)


@pytest.mark.parametrize("name", ["numpy", "jax", "strict"])
def test_the_values_that_are_combined_stay_as_they_were(name: str) -> None:
    own = backend(name)
    given_values = numbers(3, (12, 4), "float32")
    array = own.array(given_values.copy())
    own.combine(schedule("two_phase", 12), (array,), "add")
    assert_same_bits(own.numpy(array), given_values)


def test_an_unknown_backend_is_refused_with_what_works() -> None:
    with pytest.raises(WseError, match=r"unknown backend 'tpu'; what works: numpy, jax, cupy"):
        load_backend("tpu")

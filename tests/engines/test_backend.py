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


@pytest.mark.parametrize("name", ["numpy", "strict"])
@pytest.mark.parametrize("algorithm", published.ALGORITHMS)
@settings(max_examples=25, deadline=None)
@given(
    extent=st.integers(1, 70),
    block=st.sampled_from(BLOCKS),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_are_added_in_the_published_order(
    name: str, algorithm: str, extent: int, block: tuple[int, ...], dtype: str, seed: int
) -> None:
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
@pytest.mark.parametrize("block", [(1,), (3,)])
def test_jax_adds_in_the_published_order_inside_and_outside_a_compiled_body(
    algorithm: str, block: tuple[int, ...]
) -> None:
    jax = pytest.importorskip("jax")
    own = backend("jax")
    extents = (1, 2, 3, 6, 9, 17, 38)
    values = [numbers(extent, (extent, *block), "float32") for extent in extents]
    plans = [schedule(algorithm, extent) for extent in extents]

    def all_at_once(arrays: list[Any]) -> list[Any]:
        return [own.combine(plan, (array,), "add")[0] for plan, array in zip(plans, arrays, strict=True)]

    arrays = [own.array(v) for v in values]
    for got, one in zip(jax.jit(all_at_once)(arrays), values, strict=True):
        assert_same_bits(own.numpy(got), one_by_one(algorithm, one, lambda a, b: a + b))
    assert_same_bits(
        own.numpy(own.combine(plans[4], (arrays[4],), "add")[0]), one_by_one(algorithm, values[4], lambda a, b: a + b)
    )

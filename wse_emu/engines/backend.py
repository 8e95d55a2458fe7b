"""The array libraries that the numeric engine runs on: numpy, jax, cupy, or any other with the array API."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import array_api_compat
import numpy as np

from wse_emu.engines.lines import arms
from wse_emu.errors import WseError
from wse_emu.program.precision import ARRAY_TYPES
from wse_emu.program.schedule import Schedule

BACKENDS = ("numpy", "jax", "cupy")


class Backend:
    """An array-API namespace, and the four things that libraries do each their own way.

    This base class uses the array API alone; it serves cupy, and array-api-strict in the tests.
    """

    static = False
    """Whether shapes must not depend on the token's position, lest everything be compiled anew."""
    narrow = False
    """Whether it has all 16-bit types, and rounds to them after every single addition."""

    def __init__(self, name: str, xp: Any) -> None:
        self.name, self.xp = name, xp

    def dtype(self, name: str) -> Any:
        """The library's own type of that name."""
        return getattr(self.xp, name)

    def array(self, values: np.ndarray) -> Any:
        """``values`` on this backend's device."""
        return self.xp.asarray(values)

    def numpy(self, array: Any) -> np.ndarray:
        """``array`` in the host's memory."""
        return np.asarray(array)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function(arrays, position, slots)``, made faster where the library can."""
        return function

    def products(self, x: Any, w: Any) -> Any:
        """``x @ w`` of every line of PEs: x ``[lines, 1, m]``, w ``[lines, m, n]`` -> ``[lines, 1, n]``."""
        return self.xp.matmul(x, w)

    def pick(self, stack: Any, index: Any) -> Any:
        """``stack[index]`` of an index on the device."""
        return self.xp.take(stack, self.xp.reshape(index, (1,)), axis=0)[0, ...]

    def put(self, state: Any, row: Any, slot: Any, new: Any) -> Any:
        """``state`` with ``state[row, :, :, slot] = new``."""
        state[row, :, :, slot, ...] = new
        return state

    def combine(self, plan: Schedule, values: tuple[Any, ...], operation: str) -> tuple[Any, ...]:
        """Combine ``values`` (each ``[line, …]``) along their first axis in the order of ``plan``."""
        held = tuple(self.xp.asarray(value, copy=True) for value in values)
        for phase in plan.phases:
            arms = [np.asarray(column) for column in np.asarray(phase.positions()).T]
            total = tuple(self._take(value, arms[0]) for value in held)
            for column in arms[1:]:
                total = pairwise(self.xp, operation, total, tuple(self._take(value, column) for value in held))
            for value, result in zip(held, total, strict=True):
                for place, row in zip(arms[-1].tolist(), range(phase.arms), strict=True):
                    value[place, ...] = result[row, ...]
        return tuple(value[plan.root, ...] for value in held)

    def _take(self, value: Any, places: np.ndarray) -> Any:
        return self.xp.take(value, self.xp.asarray(places), axis=0)


def pairwise(xp: Any, operation: str, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
    """One combining step of a PE: what arrived (``left``) with what it holds (``right``).

    ``argmax`` takes (values, indices); the lower index wins a tie.
    """
    if operation == "add":
        return tuple(a + b for a, b in zip(left, right, strict=True))
    if operation == "max":
        return tuple(xp.maximum(a, b) for a, b in zip(left, right, strict=True))
    (value, index), (other, other_index) = left, right
    better = (other > value) | ((other == value) & (other_index < index))
    return xp.where(better, other, value), xp.where(better, other_index, index)


class NumpyBackend(Backend):
    """numpy: one ufunc call for all arms of a phase, and no copies of the cache or of partial sums."""

    narrow = True

    def __init__(self) -> None:
        super().__init__("numpy", array_api_compat.array_namespace(np.empty(0)))

    def dtype(self, name: str) -> Any:
        return ARRAY_TYPES[name]

    def pick(self, stack: Any, index: Any) -> Any:
        return stack[int(index)]

    def combine(self, plan: Schedule, values: tuple[Any, ...], operation: str) -> tuple[Any, ...]:
        if operation == "argmax":
            return super().combine(plan, values, operation)
        ufunc = np.add if operation == "add" else np.maximum
        return tuple(combine_in_place(plan, np.array(value, order="C"), ufunc) for value in values)


def combine_in_place(plan: Schedule, held: np.ndarray, ufunc: np.ufunc) -> np.ndarray:
    """Combine ``held`` ``[line, …]`` in the order of ``plan``; the heads of the phases are overwritten."""
    for phase in plan.phases:
        head = phase.head
        if phase.arms == 1:
            held[head] = _in_order(ufunc, held[phase.slice], 0)
        else:
            heads = slice(head, head + (phase.arms - 1) * phase.arm_step + 1, phase.arm_step)
            held[heads] = _in_order(ufunc, arms(held, phase), 1)
    return held[plan.root]  # type: ignore[no-any-return]


def _in_order(ufunc: np.ufunc, values: np.ndarray, axis: int) -> np.ndarray:
    """Combine along ``axis`` first to last.

    numpy's reduce keeps that order as long as its inner loop runs over another axis, which C order (:meth:`combine`)
    gives it; where the block is a single number it would sum pairwise, and accumulate is the call that does not.
    """
    if ufunc is np.add and values[(slice(0, 1),) * (axis + 1)].size == 1:
        return ufunc.accumulate(values, axis=axis).take(-1, axis=axis)  # type: ignore[no-any-return]
    return ufunc.reduce(values, axis=axis)  # type: ignore[no-any-return]


_WRITTEN_OUT = 32
"""Products per output up to which jax gets a sum of products: inside a layer, a batched matrix product of blocks this
short takes about 1.5 times as long (`python -m benchmarks.decode_speed`, with either)."""
_KEPT_ELEMENTS = 1 << 19
"""Two megabytes of float32: what a core's cache holds."""


class JaxBackend(Backend):
    """jax: a whole body becomes one compiled function, the combining steps of a phase one fused loop."""

    static = True

    def __init__(self) -> None:
        import jax

        super().__init__("jax", jax.numpy)
        self._jax = jax

    def array(self, values: np.ndarray) -> Any:
        return self._jax.device_put(values)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self._jax.jit(function, static_argnames=("slots",), donate_argnames=("states",))  # type: ignore[no-any-return]

    def products(self, x: Any, w: Any) -> Any:
        """A short sum is written out, which XLA turns into one loop over the weights as they lie in memory.

        Partial sums that fit the cache are kept, those that do not are fused with the reduction that follows.
        """
        x = self._held(x)
        if w.shape[1] > _WRITTEN_OUT:
            return self.xp.matmul(x, w)
        partial = sum(x[:, :, i, None] * w[:, None, i, :] for i in range(w.shape[1]))
        return self._held(partial) if w.shape[0] * w.shape[2] <= _KEPT_ELEMENTS else partial

    def put(self, state: Any, row: Any, slot: Any, new: Any) -> Any:
        return state.at[row, :, :, slot].set(new)

    def combine(self, plan: Schedule, values: tuple[Any, ...], operation: str) -> tuple[Any, ...]:
        held: dict[int, tuple[Any, ...]] = {}
        for phase in plan.phases:
            columns = list(zip(*phase.positions(), strict=True))
            total = self._pick(values, held, columns[0], phase.arm_step)
            for column in columns[1:]:
                total = pairwise(self.xp, operation, total, self._pick(values, held, column, phase.arm_step))
            held |= {place: tuple(part[i] for part in total) for i, place in enumerate(columns[-1])}
        result = held.get(plan.root) or tuple(value[plan.root] for value in values)
        return tuple(self._held(part) for part in result)

    def _held(self, x: Any) -> Any:
        """``x``, computed once and kept in memory.

        XLA would otherwise compute it anew inside every loop that reads it, which made a layer twice as slow; it drops
        optimization_barrier before it fuses loops, but it cannot see through a branch. The other branch is never taken
        but for NaN, which it keeps.
        """
        first = self.xp.ravel(x)[0]
        return self._jax.lax.cond(first == first, lambda y: y, lambda y: y + y, x)  # noqa: PLR0124

    def _pick(
        self, values: tuple[Any, ...], held: dict[int, tuple[Any, ...]], places: tuple[int, ...], step: int
    ) -> tuple[Any, ...]:
        """What the PEs at ``places`` hold by now, stacked; ``held`` overrides the ``values`` they came with."""
        if not held.keys() & set(places):
            span = (places[0], places[-1] + 1, step or 1)
            return tuple(self._jax.lax.slice_in_dim(value, *span, axis=0) for value in values)
        parts = [held.get(place) or tuple(value[place] for value in values) for place in places]
        return tuple(self.xp.stack(column) for column in zip(*parts, strict=True))


def load_backend(backend: str | Backend) -> Backend:
    """The backend of that name, or the one given; WseError if unknown or not installed."""
    return backend if isinstance(backend, Backend) else _by_name(backend)


@lru_cache(maxsize=8)
def _by_name(name: str) -> Backend:
    if name == "numpy":
        return NumpyBackend()
    if name == "jax":
        return JaxBackend()
    if name == "cupy":
        return _cupy()
    raise WseError(f"unknown backend {name!r}; what works: {', '.join(BACKENDS)}")


def _cupy() -> Backend:
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
    except ImportError:
        raise WseError("the backend cupy is not installed: pip install 'wse-emu[cuda]'; numpy and jax work") from None
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise WseError(f"the backend cupy finds no CUDA device ({error}); numpy and jax work") from None
    return _CupyBackend(cupy)


class _CupyBackend(Backend):
    def __init__(self, cupy: Any) -> None:
        super().__init__("cupy", array_api_compat.array_namespace(cupy.empty(0)))
        self._cupy = cupy

    def numpy(self, array: Any) -> np.ndarray:
        return np.asarray(self._cupy.asnumpy(array))

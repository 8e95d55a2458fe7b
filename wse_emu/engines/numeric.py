"""The `numeric` engine: what are the values?

Arrays are blocks ``[rows, outer columns, inner columns, *block]``: 1 along an axis where all PEs hold equal copies, and
without the PEs at the end that hold nothing. Reductions add in the order of their algorithm. The weights of one GEMV
lie as ``(PEs along the contraction, in-block, outputs)``, so that all PEs of one row (or column) are one BLAS call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from wse_emu.engines.backend import Backend, NumpyBackend, combine_in_place
from wse_emu.engines.lines import sources
from wse_emu.errors import WseError
from wse_emu.program import Body, Broadcast, Host, Layout, Local, Overlap, Reduce, Shift, Value, to_blocks
from wse_emu.program.ops import OPS
from wse_emu.program.ops_experts import STACKED, one_matrix
from wse_emu.program.precision import ARRAY_TYPES, DEQUANTISED, QUANTISED, dequantise, quantise, round_to
from wse_emu.program.schedule import schedule
from wse_emu.program.steps import AllReduce, Step

Arrays = dict[str, Any]


@dataclass
class Token:
    """The token at hand, as the local operations see it (:class:`wse_emu.program.ops.Moment`)."""

    backend: Backend
    position: Any
    slots: int

    @property
    def xp(self) -> Any:
        return self.backend.xp

    def products(self, x: Any, w: Any) -> Any:
        return self.backend.products(x, w)

    def pick(self, stack: Any, index: Any) -> Any:
        return self.backend.pick(stack, index)

    def put(self, state: Any, row: Any, slot: Any, new: Any) -> Any:
        return self.backend.put(state, row, slot, new)

    def rows_in_use(self, rows: int) -> int:
        return rows if self.backend.static else min(rows, self.position + 1)


def matrices(body: Body) -> dict[str, int]:
    """Names of the weights that GEMVs and lookups read, with how many of a matrix's dimensions are outputs."""
    found = {}
    parts = (part for step in body.steps for part in (step.meanwhile if isinstance(step, Overlap) else (step,)))
    for step in parts:
        if isinstance(step, Local) and step.op in ("gemv", "lookup"):
            weight, operand = step.inputs
            found[weight.name] = 1 if step.op == "lookup" else len(weight.shape) - len(operand.shape)
        elif isinstance(step, Local) and step.op in STACKED:
            found[step.inputs[0].name] = len(one_matrix(step.inputs[0])[0]) - 1
    return found


def arrange(backend: Backend, value: Value, array: np.ndarray, outputs: int | None) -> Any:
    """``array`` as the engine keeps the weight ``value``.

    A matrix comes as (in, out) with its first ``outputs`` dimensions of ``value.shape`` flattened into out; it is kept
    as (PEs, in-block, out) in block order, without the PEs at the end that hold nothing. It stays a view where the
    sizes divide. Its elements are those that its dtype can hold, kept as float32, in which they are multiplied.
    A stack of matrices comes and is kept with their number in front. Anything else becomes blocks of its dtype.
    """
    if value.stacked and outputs is not None:
        shape, layout = one_matrix(value)
        one = replace(value, shape=shape, layout=layout, stacked=False)
        return backend.xp.stack([arrange(backend, one, matrix, outputs) for matrix in array])
    if outputs is None:
        shaped = np.ascontiguousarray(_fitted(value, np.reshape(array, value.shape)))
        return backend.array(np.ascontiguousarray(to_blocks(_NUMPY.xp, shaped, value.layout, value.rows, value.cols)))
    rows, in_block = _places(value, slice(outputs, None))
    columns, _ = _places(value, slice(0, outputs))
    picked = _pick(_pick(array, rows, 0), columns, 1)
    blocks = np.ascontiguousarray(picked).reshape(-1, in_block, picked.shape[1])
    return backend.array(_as_stored(value, blocks))


def _as_stored(value: Value, blocks: np.ndarray) -> np.ndarray:
    """What multiplications see of a matrix ``blocks`` (PEs, in-block, out) float32 that is stored as ``value`` says."""
    if value.dtype in QUANTISED:
        restored = dequantise(*quantise(blocks, value.dtype, value.group), value.group)
        return round_to(restored, DEQUANTISED).astype(np.float32)
    return _fitted(value, blocks).astype(np.float32, copy=False)


def _fitted(value: Value, array: np.ndarray) -> np.ndarray:
    """``array`` in the dtype of ``value``; WseError where that is too small for finite numbers."""
    if value.dtype not in NARROW:
        return array
    fitted = round_to(array, value.dtype)
    if not np.isfinite(fitted).all() and np.isfinite(array).all():
        raise WseError(f"{value.kind} {value.name}: up to {np.abs(array).max():g}, too large for {value.dtype}")
    return fitted


def _places(value: Value, dims: slice) -> tuple[np.ndarray, int]:
    """Where each element of the blocks of ``dims`` comes from (−1: padding), and the size of a block."""
    shape, layout = value.shape[dims], Layout(value.layout.dims[dims], value.layout.inner)
    natural = np.reshape(np.arange(1, prod(shape) + 1), shape)
    blocks = to_blocks(_NUMPY.xp, natural, layout, value.rows, value.cols)
    return blocks.ravel() - 1, prod(blocks.shape[3:])


def _pick(array: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    if places.size == array.shape[axis] and np.array_equal(places, np.arange(places.size)):
        return array
    picked: np.ndarray = np.take(array, np.maximum(places, 0), axis=axis)
    picked[(slice(None),) * axis + (places < 0,)] = 0
    return picked


_NUMPY = NumpyBackend()


class NumericEngine:
    """Runs bodies on one backend; compiles each body once."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._compiled: dict[Body, Callable[..., tuple[Arrays, Arrays]]] = {}

    def run(
        self, body: Body, inputs: Mapping[str, Any], weights: Arrays, states: Arrays, position: int
    ) -> tuple[Arrays, Arrays]:
        """Run ``body`` for the token at ``position``; returns its outputs and its new states, by name.

        ``states`` are given up: their arrays may be overwritten.
        """
        if body not in self._compiled:
            self._compiled[body] = self.backend.compile(self._interpreter(body))
        slots = position // body.rows + 1
        with np.errstate(over="ignore"):  # what overflows becomes infinite, as on the machine
            return self._compiled[body](dict(inputs), weights, states, position, slots=slots)

    def _interpreter(self, body: Body) -> Callable[..., tuple[Arrays, Arrays]]:
        actions = _actions(self.backend, body)

        def run(inputs: Arrays, weights: Arrays, states: Arrays, position: Any, slots: int) -> tuple[Arrays, Arrays]:
            token = Token(self.backend, position, slots)
            arrays = {**weights, **states, **inputs}
            for action in actions:
                action(token, arrays)
            return {v.name: arrays[v.name] for v in body.outputs}, {v.name: arrays[v.name] for v in body.states}

        return run


Action = Callable[[Token, Arrays], None]


def _actions(backend: Backend, body: Body) -> list[Action]:
    """One function a step; on numpy, a GEMV and the sum of its partial results become one."""
    actions: list[Action] = []
    index = 0
    while index < len(body.steps):
        pair = body.steps[index : index + 2]
        if isinstance(backend, NumpyBackend) and _is_summed_gemv(body, pair, index):
            actions.append(_summed_gemv(*pair))  # type: ignore[arg-type]
            index += 2
        else:
            actions.append(_action(backend, pair[0]))
            index += 1
    return actions


def _action(backend: Backend, step: Step) -> Action:
    if isinstance(step, Overlap):
        return _in_turn([_action(backend, part) for part in step.parts])
    names = tuple(value.name for value in step.inputs)
    outputs = tuple(value.name for value in step.outputs)
    function = _function(backend, step)

    def action(token: Token, arrays: Arrays) -> None:
        results = function(token, *(arrays[name] for name in names))
        arrays.update(zip(outputs, results, strict=True))

    return action


def _in_turn(actions: Sequence[Action]) -> Action:
    def run(token: Token, arrays: Arrays) -> None:
        for action in actions:
            action(token, arrays)

    return run


def _function(backend: Backend, step: Step) -> Callable[..., tuple[Any, ...]]:
    if isinstance(step, Local):
        return _local(step)
    if isinstance(step, Reduce):
        return lambda _token, *arrays: combine(backend, step, arrays)
    if isinstance(step, Broadcast):
        return lambda _token, array: (_from_root(array, step),)
    if isinstance(step, Shift):
        return lambda _token, array: (_shifted(backend, array, step),)
    assert isinstance(step, Host)
    return lambda _token, *arrays: arrays[: len(step.outputs)]


def _local(step: Local) -> Callable[..., tuple[Any, ...]]:
    """A local operation: 16-bit numbers are computed with in float32, and its results rounded once."""
    operation, attributes = OPS[step.op], step.attributes
    compute = operation.compute
    if not any(value.dtype in NARROW for value in step.inputs + step.outputs):
        return lambda token, *arrays: compute(token, attributes, *arrays)
    kinds = tuple(value.dtype for value in step.outputs)

    def rounded(token: Token, *arrays: Any) -> tuple[Any, ...]:
        wide = arrays if operation.exact else tuple(_widened(array) for array in arrays)
        results = compute(token, attributes, *wide)
        return tuple(round_to(result, kind) for result, kind in zip(results, kinds, strict=True))

    return rounded


NARROW = ("float16", "bfloat16")
"""Types of arrays whose arithmetic numpy does step by step, in the type itself."""


def _widened(array: Any) -> Any:
    return array if array.dtype == np.int32 else array.astype(np.float32, copy=False)


def _shifted(backend: Backend, array: Any, step: Shift) -> Any:
    if not step.inputs[0].varies(step.axis):
        return array
    axis = 0 if step.axis == "y" else 1
    extent = step.inputs[0].rows if step.axis == "y" else step.inputs[0].cols
    line = _filled(backend.xp, backend.xp.moveaxis(array, axis, 0), extent, 0)
    source = backend.xp.asarray(sources(extent, step.distance))
    return backend.xp.moveaxis(backend.xp.take(line, source, axis=0), 0, axis)


def _from_root(array: Any, step: Broadcast) -> Any:
    return array[step.root : step.root + 1, ...] if step.axis == "y" else array[:, step.root : step.root + 1, ...]


def combine(backend: Backend, step: Reduce, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """A Reduce or AllReduce on blocks; the result is 1 along the axis (along the inner columns, for groups).

    PEs that hold nothing contribute the identity of the operation.
    """
    xp = backend.xp
    value = step.inputs[0]
    extent = step.group or (value.rows if step.axis == "y" else value.cols)
    plan = schedule(step.algorithm, extent)
    axis = 0 if step.axis == "y" else 2 if step.group else 1
    if axis == 1:
        arrays = tuple(xp.reshape(a, (a.shape[0], a.shape[1] * a.shape[2], 1, *a.shape[3:])) for a in arrays)
    lines = tuple(
        _filled(xp, xp.moveaxis(a, axis, 0), extent, _identity(step.combine, i)) for i, a in enumerate(arrays)
    )
    return tuple(xp.moveaxis(r[None, ...], 0, axis) for r in backend.combine(plan, lines, step.combine))


def _identity(operation: str, place: int) -> float | int:
    """What changes nothing: 0 for add, −∞ for max; for argmax −∞ and an index that loses every tie."""
    if operation == "add":
        return 0
    return -np.inf if place == 0 else np.iinfo(np.int32).max


def _filled(xp: Any, line: Any, extent: int, filler: float) -> Any:
    """``line`` with ``filler`` for the PEs up to ``extent``."""
    missing = extent - line.shape[0]
    if not missing:
        return line
    return xp.concat([line, xp.full((missing, *line.shape[1:]), filler, dtype=line.dtype)], axis=0)


def _is_summed_gemv(body: Body, pair: tuple[Step, ...], index: int) -> bool:
    if len(pair) < 2:
        return False
    gemv, total = pair
    return (
        isinstance(gemv, Local)
        and gemv.op == "gemv"
        and isinstance(total, AllReduce)
        and total.combine == "add"
        and total.group is None
        and total.inputs == gemv.outputs
        and body.last_use.get(gemv.outputs[0].name) == index + 1
        and gemv.attributes["axis"] == total.axis
    )


def _summed_gemv(gemv: Local, total: AllReduce) -> Action:
    """GEMV and the all-reduce of its partial sums, which nobody else sees: they live in a scratch array."""
    weight, operand = (value.name for value in gemv.inputs)
    extent = total.inputs[0].rows if total.axis == "y" else total.inputs[0].cols
    shape = (*gemv.attributes["out_grid"], *gemv.attributes["out_block"])
    width = prod(shape)
    plan = schedule(total.algorithm, extent)
    chunk = min(width, max(1, _SCRATCH_ELEMENTS // extent))
    scratch = np.empty((extent, chunk), dtype=np.float32)
    name, dtype = total.outputs[0].name, total.outputs[0].dtype

    def action(_token: Token, arrays: Arrays) -> None:
        w = arrays[weight]
        active = w.shape[0]
        lines = np.reshape(_widened(arrays[operand]), (active, 1, w.shape[1]))
        result = np.empty(width, dtype=ARRAY_TYPES[dtype])
        for start in range(0, width, chunk):
            stop = min(start + chunk, width)
            partial = scratch[:, : stop - start]
            np.matmul(lines, w[:, :, start:stop], out=partial[:active, None, :])
            partial[active:] = 0
            result[start:stop] = combine_in_place(plan, round_to(partial, dtype), np.add)
        arrays[name] = result.reshape(shape)

    return action


_SCRATCH_ELEMENTS = 1 << 19
"""Partial sums worked on at a time: two megabytes of float32, what a core's cache holds."""

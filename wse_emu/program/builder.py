"""What a kernel calls: every method emits one step and returns the value that the step yields."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from wse_emu.errors import WseError
from wse_emu.program import (  # noqa: F401  (they register their operations)
    ops_activations,
    ops_attention,
    ops_chunk,
    ops_experts,
    ops_gemm,
    ops_latent,
    ops_ring,
    ops_rows,
    ops_tokens,
)
from wse_emu.program.body import Body
from wse_emu.program.layout import Layout
from wse_emu.program.ops import OPS, Result, like
from wse_emu.program.precision import QUANTISED, Precision, find_precision
from wse_emu.program.schedule import schedule
from wse_emu.program.steps import AllReduce, Axis, Broadcast, Combine, Host, Local, Overlap, Reduce, Shift, Step
from wse_emu.program.value import Kind, Value

Chooser = Callable[[int, int, str, bool], str]
"""(PEs in a line, wavelets, dtype, broadcast back) -> the cheapest algorithm; what `auto` means."""


class Builder:
    """Collects the steps of one body on a region of ``rows`` × ``cols`` PEs.

    ``dtype`` is that of values that name none, or a :class:`Precision`, which has another for matrices; ``reduce`` the
    algorithm of reductions that name none; ``choose`` resolves ``auto``
    (:attr:`wse_emu.engines.estimate.Estimator.choose`).
    """

    def __init__(
        self,
        name: str,
        rows: int,
        cols: int,
        *,
        reduce: str = "auto",
        choose: Chooser | None = None,
        dtype: str | Precision = "float32",
    ) -> None:
        if rows < 1 or cols < 1:
            raise WseError(f"body {name}: a region of {cols}×{rows} PEs is empty; at least 1×1 works")
        self.name, self.rows, self.cols = name, rows, cols
        self._reduce, self._choose, self._precision = reduce, choose, find_precision(dtype)
        self._kernel = name
        self._declared: dict[Kind, list[Value]] = {"input": [], "weight": [], "state": []}
        self._steps: list[Step] = []
        self._count = 0

    @property
    def dtype(self) -> str:
        """Of values that name none and are no matrices."""
        return self._precision.activations

    @contextmanager
    def kernel(self, name: str) -> Iterator[None]:
        """Steps emitted inside belong to the kernel ``name`` in reports."""
        before, self._kernel = self._kernel, name
        yield
        self._kernel = before

    def input(self, name: str, shape: Sequence[int], layout: Layout, dtype: str | None = None) -> Value:
        """A value that the call receives."""
        return self._declare("input", name, shape, layout, dtype)

    def weight(self, name: str, shape: Sequence[int], layout: Layout, dtype: str | None = None) -> Value:
        """A constant that stays on its PEs."""
        return self._declare("weight", name, shape, layout, dtype)

    def matrix(
        self, name: str, shape: Sequence[int], layout: Layout, *, inputs: int = 1, stacked: bool = False
    ) -> Value:
        """A weight that GEMVs multiply by, stored as the precision says; its last ``inputs`` dimensions are summed.

        With ``stacked`` the first dimension counts such matrices.
        """
        weights = self._precision.weights
        value = replace(self._declare("weight", name, shape, layout, weights), stacked=stacked)
        if weights in QUANTISED:
            value = replace(value, inputs=inputs, group=self._precision.group)
        self._declared["weight"][-1] = value
        return value

    def state(self, name: str, shape: Sequence[int], layout: Layout, dtype: str | None = None) -> Value:
        """A value that stays on its PEs from token to token, such as the KV cache."""
        return self._declare("state", name, shape, layout, dtype)

    def local(self, op: str, *values: Value, **attributes: Any) -> Any:
        """Every PE computes ``op`` on its blocks; returns one Value, or a tuple where the op yields several."""
        results = OPS[op].results(values, attributes)
        outputs = tuple(self._value(r) for r in results)
        self._steps.append(Local(op, values, outputs, self._kernel, attributes))
        return outputs if len(outputs) > 1 else outputs[0]

    def append(self, cache: Value, new: Value) -> None:
        """Store ``new`` in the state ``cache`` at the position of the token at hand."""
        self._steps.append(Local("kv_append", (cache, new), (cache,), self._kernel, {"rows": self.rows}))

    def broadcast(self, value: Value, *, axis: Axis, root: int = 0) -> Value:
        """``value`` of the PE at ``root`` along ``axis``, on every PE of its line."""
        if not 0 <= root < self._extent(axis):
            raise WseError(f"broadcast along {axis} from {root}: the region has {self._extent(axis)} PEs there")
        output = self._value(like(value, partial=value.partial - {axis}))
        self._steps.append(Broadcast(axis, root, (value,), (output,), self._kernel))
        return output

    def reduce(self, *values: Value, axis: Axis, combine: Combine = "add", algorithm: str | None = None) -> Any:
        """Combine along ``axis`` into the algorithm's root; several values travel as one stream."""
        return self._combine(Reduce, values, axis, combine, algorithm, None)

    def all_reduce(
        self,
        *values: Value,
        axis: Axis,
        combine: Combine = "add",
        algorithm: str | None = None,
        group: int | None = None,
    ) -> Any:
        """Combine along ``axis`` (in equal groups of ``group`` PEs) and give the result to every PE of the line."""
        return self._combine(AllReduce, values, axis, combine, algorithm, group)

    def shift(self, value: Value, *, axis: Axis, distance: int = 1) -> Value:
        """Every PE's block passes to the PE ``distance`` further on the interleaved ring along ``axis``."""
        output = self._value(like(value))
        self._steps.append(Shift(axis, distance, (value,), (output,), self._kernel))
        return output

    @contextmanager
    def overlap(self) -> Iterator[None]:
        """Shifts by one place, each along another axis, and local work emitted inside go on at once.

        Raises WseError where one of them reads what another yields, or for steps that cannot take part.
        """
        before = len(self._steps)
        yield
        parts = self._steps[before:]
        shifts = tuple(part for part in parts if isinstance(part, Shift))
        meanwhile = tuple(part for part in parts if isinstance(part, Local))
        _check_overlap(self.name, parts, shifts)
        self._steps[before:] = [Overlap(shifts, meanwhile, self._kernel)]

    def control(self, *, tasks: int = 0, streams: int = 0, vectors: int = 0) -> None:
        """What a program spends between its instructions on every PE: activations of ``tasks``, set-ups of
        ``streams`` and of ``vectors``.
        """
        counts = {"task": tasks, "stream": streams, "vector": vectors}
        self._steps.append(Local("control", (), (), self._kernel, counts))

    def host_in(self, value: Value, *, blocking: bool) -> Value:
        """``value`` comes from the host across the wafer's edge."""
        output = self._value(like(value))
        self._steps.append(Host("in", blocking, (value,), (output,), self._kernel))
        return output

    def host_out(self, value: Value, *, blocking: bool) -> None:
        """``value`` goes to the host across the wafer's edge."""
        self._steps.append(Host("out", blocking, (value,), (), self._kernel))

    def build(self, *outputs: Value) -> Body:
        """The finished body, which returns ``outputs``."""
        declared = {kind: tuple(values) for kind, values in self._declared.items()}
        return Body(
            self.name,
            self.rows,
            self.cols,
            declared["input"],
            outputs,
            declared["weight"],
            declared["state"],
            tuple(self._steps),
        )

    def _combine(  # noqa: PLR0917
        self,
        kind: type[Reduce],
        values: tuple[Value, ...],
        axis: Axis,
        combine: Combine,
        algorithm: str | None,
        group: int | None,
    ) -> Any:
        extent = group or self._extent(axis)
        if extent > self._extent(axis):
            raise WseError(f"groups of {extent} PEs along {axis}: the region has {self._extent(axis)} PEs there")
        chosen = algorithm or self._reduce
        if chosen == "auto":
            if self._choose is None:
                raise WseError("the algorithm `auto` needs a chooser: Builder(..., choose=Estimator(wafer).choose)")
            wavelets = sum(value.wavelets for value in values)
            chosen = self._choose(extent, wavelets, values[0].dtype, kind is AllReduce)
        elif chosen == "autogen":
            chosen = f"autogen:{sum(value.wavelets for value in values)}"
        schedule(chosen, extent)
        outputs = tuple(self._value(like(v, partial=v.partial - {axis})) for v in values)
        self._steps.append(kind(axis, combine, chosen, group, values, outputs, self._kernel))
        return outputs if len(outputs) > 1 else outputs[0]

    def _declare(self, kind: Kind, name: str, shape: Sequence[int], layout: Layout, dtype: str | None) -> Value:
        if any(value.name == name for values in self._declared.values() for value in values):
            raise WseError(f"body {self.name}: the name {name!r} is taken")
        value = Value(name, tuple(shape), layout, self.rows, self.cols, dtype or self.dtype, kind)
        self._declared[kind].append(value)
        return value

    def _value(self, result: Result) -> Value:
        self._count += 1
        return Value(
            str(self._count),
            result.shape,
            result.layout,
            self.rows,
            self.cols,
            result.dtype,
            "temporary",
            result.partial,
            result.slotted,
        )

    def _extent(self, axis: Axis) -> int:
        return self.cols if axis == "x" else self.rows


def _check_overlap(name: str, parts: Sequence[Step], shifts: Sequence[Shift]) -> None:
    if any(not isinstance(part, Shift | Local) for part in parts) or not shifts:
        raise WseError(f"body {name}: shifts and local work can overlap, one shift at least; others cannot")
    if any(abs(shift.distance) != 1 for shift in shifts) or len({shift.axis for shift in shifts}) < len(shifts):
        raise WseError(f"body {name}: shifts overlap that go one place, each along another axis")
    yielded = {value.name for part in parts for value in part.outputs}
    read = {value.name for shift in shifts for value in shift.inputs}
    read |= {value.name for part in parts if isinstance(part, Local) for value in part.inputs} & {
        value.name for shift in shifts for value in shift.outputs
    }
    if clash := sorted(yielded & read):
        raise WseError(f"body {name}: %{clash[0]} is read beside the step that yields it; after the overlap works")

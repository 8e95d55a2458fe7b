"""What a layer takes on regions of each shape: bytes on a PE, and cycles. Remembered, for all layouts of a workload."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from math import ceil

from wse_emu.engines.estimate import Estimator
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.decoder import Shapes, Style, embed_body, head_body, layer_body
from wse_emu.mappings.plan import Request
from wse_emu.models.config import LayerKind, ModelConfig
from wse_emu.program import Body, Builder, Call, Layout, Program
from wse_emu.program.memory import peak_activation_bytes
from wse_emu.wafers.workload import Workload

TIMED = 2
"""Layers of each kind that the timing engine runs; the others take as long."""


@dataclass(frozen=True)
class PeRoom:
    """Bytes on a PE of a region of one shape."""

    weights: dict[LayerKind, int]
    """Of one layer of each kind."""
    largest: int
    """Of these, the largest matrix."""
    cache: int
    """Of one layer, for all users."""
    slot: int
    """Of the cache, for one token of a row of PEs."""
    working: int
    """Activations at their peak, and the runtime."""
    ends: int
    """Tables of embedding and head."""

    def layer(self, kind: LayerKind) -> int:
        """Of one layer, with its cache."""
        return self.weights[kind] + self.cache


class Layers:
    """Bodies of a model's layers on regions of each shape, their bytes and cycles."""

    def __init__(self, config: ModelConfig, spec: WaferSpec, workload: Workload) -> None:
        self.config, self.spec, self.workload = config, spec, workload
        self.request = Request(
            config, spec, workload.context, "auto", Estimator(spec), dtype=workload.dtype, experts=workload.experts
        )
        self.plain = Style(workload.dtype, "chain")
        """Bytes and local work, which no reduction's algorithm changes, are counted by it."""
        self.body = cache(self._body)
        self.room = cache(self._room)
        self.ends_bytes = cache(self._ends_bytes)
        self.cycles = cache(self._cycles)

    def for_users(self, users: int) -> "Layers":
        """The same for as many users, with all that does not depend on how many there are."""
        other = copy(self)
        other.workload = replace(self.workload, users=users)
        other.room = cache(other._room)  # noqa: SLF001  (its own kind)
        return other

    def may_fit(self, rows: int, cols: int) -> bool:
        """Whether the largest matrix of a layer fits so many PEs without any padding: quick, and never wrongly no."""
        widest = self.config.hidden * self.config.narrowest * self.workload.precision.weight_bytes
        return widest <= rows * cols * self.spec.sram_bytes

    def few(self, kind: LayerKind) -> Request:
        """As many layers of that kind as are timed."""
        return replace(self.request, config=self.config.alike(kind, min(TIMED, self.config.layers)))

    def _cycles(self, rows: int, cols: int, inner: int) -> dict[LayerKind, int]:
        """Of one layer of each kind, as shapes are chosen by."""
        bodies = {kind: self.body(rows, cols, inner, kind) for kind in self.config.kinds}
        estimator, slots = self.request.estimator, self.slots(rows)
        return {kind: estimator.body_cycles(body, slots, choose=True) for kind, body in bodies.items()}

    def of_all(self, by_kind: Mapping[LayerKind, float]) -> float:
        """The sum over all layers of what one of each kind has."""
        return sum(count * by_kind[kind] for kind, count in self.config.layers_by_kind.items())

    def slots(self, rows: int) -> int:
        """Slots of the cache that one user's token reads, on the fullest row of PEs."""
        return self.timed_position(rows) // rows + 1

    def timed_position(self, rows: int) -> int:
        """The token whose reads of a cache dealt to all rows are those of the workload's token."""
        concatenated = self.workload.kv == "concatenated"
        return self.workload.position * (rows if concatenated else 1)

    def shift_cycles(self, rows: int, cols: int, inner: int) -> int:
        """Of one layer, to pass a token's keys and values on to the next row, as a shifted cache does (or 0)."""
        if self.workload.kv != "shifted":
            return 0
        states = self.body(rows, cols, inner, self.config.kind(0)).states
        elements = sum(state.block_elements // state.block[0] for state in states)
        b = Builder("KV shift", rows, cols, dtype=states[0].dtype)
        newest = b.input("newest", (rows, cols, elements), Layout(("y", "x", None)))
        body = b.build(b.shift(newest, axis="y"))
        call = Call(body, Region(0, 0, cols, rows), ("newest",), ("newest",))
        return TimingEngine(Program("KV shift", (call,)), self.spec).token(0).cycles

    def _body(self, rows: int, cols: int, inner: int, kind: LayerKind) -> Body:
        """Without its experts, where these have regions of their own."""
        shapes, apart = Shapes(self.config, cols, inner), self.request.apart and kind.sparse
        return layer_body(shapes, self.plain, rows, positions=self.workload.context, kind=kind, apart=apart)

    def _room(self, rows: int, cols: int, inner: int) -> PeRoom:
        bodies = {kind: self.body(rows, cols, inner, kind) for kind in self.config.kinds}
        slot = sum(state.block_bytes // state.block[0] for state in bodies[self.config.kind(0)].states)
        return PeRoom(
            {kind: sum(value.block_bytes for value in body.weights) for kind, body in bodies.items()},
            max(value.block_bytes for body in bodies.values() for value in body.weights),
            slot * self._slots_of_all(rows),
            slot,
            max(map(peak_activation_bytes, bodies.values())) + self.spec.runtime_bytes,
            self.ends_bytes(rows, cols),
        )

    def _slots_of_all(self, rows: int) -> int:
        """Slots on the fullest row of PEs, for all users."""
        users, context = self.workload.users, self.workload.context
        if self.workload.kv == "concatenated":
            return ceil(users / rows) * context
        return ceil(users * context / rows)

    def _ends_bytes(self, rows: int, cols: int) -> int:
        """Tables of embedding and head on a PE; a tied one counts once."""
        bodies = (make(self.config, self.plain, rows, cols) for make in (embed_body, head_body))
        return sum({value.name: value.block_bytes for body in bodies for value in body.weights}.values())

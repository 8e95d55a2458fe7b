"""How layers lie on wafers: what a PE holds, how long a token takes, and how many wafers it needs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cache
from math import ceil

from wse_emu.engines.estimate import Estimator
from wse_emu.engines.semantics import local_cycles
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.decoder import Shapes, Style, embed_body, head_body, inner_columns, layer_body
from wse_emu.mappings.plan import Request
from wse_emu.mappings.shapes import Looked, extents, search_shapes
from wse_emu.models.config import ModelConfig
from wse_emu.program import Body, Local, Program
from wse_emu.program.memory import peak_activation_bytes
from wse_emu.program.precision import ITEMSIZE, find_precision
from wse_emu.wafers.workload import Workload

ENDS = {"embedding", "lm_head", "sample"}
"""Kernels that a token runs once; all others belong to layers."""
BETWEEN = "between wafers"
TIMED = 2
"""Layers that the timing engine runs; the others take as long."""
SYSTEM_WATTS = 23_000.0
"""A CS-2 or CS-3 system at the upper end of "15 to 23 kW" (measurements/energy.csv, press and vendor, secondary)."""


@dataclass(frozen=True)
class WaferEstimate:
    """A model on some wafers. Levels: cycles within a wafer are the timing model's, all else is an estimate."""

    mapping: str
    wafers: int
    region: tuple[int, int]
    """Rows and columns that a layer lies on."""
    cycles_per_token: float
    """Of one user: all layers, and the ways between wafers."""
    interval_cycles: float
    """From token to token of all users, when so many are at work that the slowest stage never waits."""
    cycles_by_kernel: dict[str, float]
    bound_by: str
    pe_bytes: dict[str, int]
    """On the fullest PE, by cause."""
    kv_capacity_tokens: int
    """Of all users together."""
    tokens_per_second_per_user: float
    tokens_per_second_total: float
    energy_j_per_token: float


@dataclass(frozen=True)
class PeRoom:
    """Bytes on a PE of a region of one shape."""

    weights: int
    """Of one layer."""
    cache: int
    """Of one layer, for all users."""
    slot: int
    """Of the cache, for one token a row of PEs."""
    working: int
    """Activations at their peak, and the runtime."""
    ends: int
    """Tables of embedding and head."""

    @property
    def layer(self) -> int:
        return self.weights + self.cache


class WaferLayout(ABC):
    """Shapes of regions for a workload, by what their PEs hold and how long a layer takes."""

    name: str

    def __init__(self, config: ModelConfig, spec: WaferSpec, workload: Workload) -> None:
        self.config, self.spec, self.workload = config, spec, workload
        self.request = Request(config, spec, workload.context, "auto", Estimator(spec), dtype=workload.dtype)
        self.few = replace(self.request, config=config.first_layers(min(TIMED, config.layers)))
        """As many layers as are timed."""
        self.plain = Style(workload.dtype, "chain")
        """For bytes, which no reduction's algorithm changes."""
        self.layer = cache(self._layer)
        self.room = cache(self._room)

    def best(self, wafers: int | None) -> WaferEstimate | None:
        """The fewest wafers, and of the shapes that do with them the one with the fewest cycles."""
        rows, cols = extents(self.config.hidden, self.spec.rows), extents(self.config.intermediate, self.spec.columns)

        def look(rows: int, cols: int) -> Looked | None:
            inner = inner_columns(self.config, cols)[-1]
            count = self.wafers(rows, cols, inner)
            if count is None or (wafers is not None and count > wafers):
                return None
            body = self.layer(rows, cols, inner)
            return count, self.request.estimator.body_cycles(body, self.slots(body)), rows, cols, inner

        found = search_shapes(rows, cols, look)
        return self._timed(*found[0]) if found else None

    def slots(self, body: Body) -> int:
        """Slots of the cache that one user's token reads, on the fullest row of PEs."""
        return self.workload.position // body.rows + 1

    @abstractmethod
    def wafers(self, rows: int, cols: int, inner: int) -> int | None:
        """How many hold everything on regions of this shape; None if none do."""

    @abstractmethod
    def program(self, rows: int, cols: int, inner: int) -> Program:
        """Embedding, :data:`TIMED` layers, and the head."""

    @abstractmethod
    def stage_cycles(self, kernels: dict[str, float], wafers: int) -> float:
        """Cycles of the slowest stage that works on one token at a time."""

    @abstractmethod
    def held(self, room: PeRoom, wafers: int) -> int:
        """Layers on a PE of the fullest wafer."""

    def _layer(self, rows: int, cols: int, inner: int) -> Body:
        shapes, kind = Shapes(self.config, cols, inner), self.config.kind(0)
        return layer_body(shapes, self.request.style, rows, positions=self.request.positions, kind=kind)

    def _room(self, rows: int, cols: int, inner: int) -> PeRoom:
        shapes, kind = Shapes(self.config, cols, inner), self.config.kind(0)
        body = layer_body(shapes, self.plain, rows, positions=self.workload.context, kind=kind)
        slot = sum(state.block_bytes // state.block[0] for state in body.states)
        return PeRoom(
            sum(value.block_bytes for value in body.weights),
            slot * ceil(self.workload.users * self.workload.context / rows),
            slot,
            peak_activation_bytes(body) + self.spec.runtime_bytes,
            self.ends_bytes(rows, cols),
        )

    def ends_bytes(self, rows: int, cols: int) -> int:
        """Tables of embedding and head on a PE; a tied one counts once."""
        bodies = (make(self.config, self.plain, rows, cols) for make in (embed_body, head_body))
        return sum({value.name: value.block_bytes for body in bodies for value in body.weights}.values())

    def _timed(self, *found: int) -> WaferEstimate:
        wafers, _, rows, cols, inner = found
        spec, workload, layers = self.spec, self.workload, self.config.layers
        timing = TimingEngine(self.program(rows, cols, inner), spec).token(workload.position)
        kernels = {
            name: cycles * (1.0 if name in ENDS else layers / min(TIMED, layers))
            for name, cycles in timing.cycles_by_kernel.items()
        }
        crossing = crossing_cycles(self.config, spec, workload.dtype)
        kernels[BETWEEN] = wafers * crossing if wafers > 1 else 0.0
        cycles = sum(kernels.values())
        interval = max(self.stage_cycles(kernels, wafers), crossing if wafers > 1 else 0.0)
        rate = spec.clock_hz / max(cycles, workload.users * interval)
        room = self.room(rows, cols, inner)
        held = self.held(room, wafers)
        free = spec.sram_bytes - room.working - held * room.weights
        return WaferEstimate(
            self.name,
            wafers,
            (rows, cols),
            cycles,
            interval,
            kernels,
            self._bound(self.layer(rows, cols, inner), kernels),
            {"weights": held * room.weights, "kv_cache": held * room.cache, "working": room.working},
            rows * (free // (held * room.slot)),
            rate,
            workload.users * rate,
            wafers * SYSTEM_WATTS / (workload.users * rate),
        )

    def _bound(self, layer: Body, kernels: dict[str, float]) -> str:
        """What takes most of a token in its layers: work on the PEs' own data, the fabric, or ways between wafers."""
        steps = (step for step in layer.steps if isinstance(step, Local))
        work = self.config.layers * sum(local_cycles(self.spec, step, self.slots(layer)) for step in steps)
        layers = sum(cycles for name, cycles in kernels.items() if name not in ENDS and name != BETWEEN)
        shares = {
            "work on the PEs": work,
            "latency of the fabric": layers - work,
            "edges between wafers": kernels[BETWEEN],
        }
        return max(shares, key=shares.__getitem__)


def crossing_cycles(config: ModelConfig, spec: WaferSpec, dtype: str) -> float:
    """From wafer to wafer: the hidden state's bits at the edge's bandwidth, and its latency, in cycles."""
    bits = 8 * config.hidden * ITEMSIZE[find_precision(dtype).activations]
    return (bits / spec.edge_bits_per_second + spec.edge_latency_seconds) * spec.clock_hz

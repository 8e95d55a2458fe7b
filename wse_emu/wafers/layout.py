"""How layers lie on wafers: how many it takes, and how long a token takes on them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from wse_emu.engines.semantics import local_cycles
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.decoder import inner_columns
from wse_emu.mappings.shapes import Looked, extents, search_shapes
from wse_emu.models.config import LayerKind, ModelConfig
from wse_emu.program import Body, Local, Program
from wse_emu.program.precision import ITEMSIZE, find_precision
from wse_emu.program.routing import drawn_routing
from wse_emu.wafers.layers import TIMED, Layers, PeRoom

ENDS = {"embedding", "lm_head", "sample"}
"""Kernels that a token runs once; all others belong to layers."""
BETWEEN, SHIFT, WAITING = "between wafers", "KV shift", "weights streamed in"
"""What takes cycles beside kernels."""


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
    bubbles: float
    """Share of its time that the slowest stage has no token to work on, for want of users."""
    energy_j_per_token: float
    replicas: int = 1
    """Of the model, each on its share of the wafers, with its share of the users."""

    def replicated(self, count: int, users: int) -> "WaferEstimate":
        """``count`` of these for ``users`` in all, as the one with the most of them serves its own."""
        total = users * self.tokens_per_second_per_user
        return replace(
            self,
            wafers=count * self.wafers,
            kv_capacity_tokens=count * self.kv_capacity_tokens,
            tokens_per_second_total=total,
            energy_j_per_token=count * self.energy_j_per_token * self.tokens_per_second_total / total,
            replicas=count,
        )


Shape = tuple[int, int, int]
"""Rows, columns, and columns that share a key-value head."""


@dataclass(frozen=True)
class Held:
    """What lies on the fullest PE."""

    layers: int
    """Whose caches do."""
    weight_bytes: int
    beside: int = 0
    """Bytes kept for weights that come and go."""


class WaferLayout(ABC):
    """Shapes of regions for a workload, by what their PEs hold and how long a layer takes."""

    name: str

    def __init__(self, layers: Layers) -> None:
        self.layers, self.config, self.spec, self.workload = layers, layers.config, layers.spec, layers.workload

    def best(self, wafers: int | None) -> WaferEstimate | None:
        """The fastest on at most so many wafers; None: on the fewest that hold everything."""
        if wafers is None:
            found = self._search(self.wafers)
            return self.best(found[0]) if found else None

        def took(rows: int, cols: int, inner: int) -> int | None:
            count = self.wafers(rows, cols, inner)
            return None if count is None or count > wafers else self._round_cycles(rows, cols, inner, count)

        found = self._search(took)
        return self._timed(*found[1:]) if found else None

    def _search(self, rank: Callable[[int, int, int], int | None]) -> Looked | None:
        """The least ``rank`` (None: it does not fit) and its (rows, columns, columns that share a key-value head)."""

        def look(rows: int, cols: int) -> Looked | None:
            shape = rows, cols, inner_columns(self.config, cols)[-1]
            ranked = rank(*shape) if self.layers.may_fit(rows, cols) else None
            return None if ranked is None else (ranked, *shape)

        rows, cols = extents(self.config.hidden, self.spec.rows), extents(self.config.narrowest, self.spec.columns)
        found = search_shapes(rows, cols, look)
        return found[0] if found else None

    def _round_cycles(self, rows: int, cols: int, inner: int, wafers: int) -> int:
        """From one token of a user to the next, about: embedding, head and ways between wafers left out."""
        by_kind = self.cycles(rows, cols, inner)
        total = self.layers.of_all(by_kind)
        waiting = self.waiting_cycles(self.layers.room(rows, cols, inner), total)
        return round(
            max(total + waiting, self.workload.users * self.stage_cycles(0, by_kind, wafers, (rows, cols, inner)))
        )

    @abstractmethod
    def wafers(self, rows: int, cols: int, inner: int) -> int | None:
        """How many hold everything on regions of this shape; None if none do."""

    @abstractmethod
    def program(self, rows: int, cols: int, inner: int, kind: LayerKind) -> Program:
        """Embedding, :data:`TIMED` layers of that kind, and the head."""

    @abstractmethod
    def stage_cycles(self, ends: float, layers: Mapping[LayerKind, float], wafers: int, shape: Shape) -> float:
        """Cycles of the slowest stage that works on one token at a time; ``layers``: of one layer of each kind."""

    @abstractmethod
    def held(self, room: PeRoom) -> Held:
        """What lies on a PE of the fullest wafer."""

    def bodies(self, rows: int, cols: int, inner: int, kind: LayerKind) -> list[Body]:
        """What a token passes one after another in a layer of that kind."""
        return [self.layers.body(rows, cols, inner, kind)]

    def cycles(self, rows: int, cols: int, inner: int) -> dict[LayerKind, int]:
        """Of one layer of each kind, as shapes are chosen by."""
        return self.layers.cycles(rows, cols, inner)

    def fullest(self, room: PeRoom, held: Held, _rows: int) -> dict[str, int]:
        """Bytes on the fullest PE, by cause."""
        return {"weights": held.weight_bytes, "kv_cache": held.layers * room.cache, "working": room.working}

    def waiting_cycles(self, _room: PeRoom, _cycles: float) -> float:
        """Cycles that a token waits for weights, beside the ``cycles`` that it takes where all are there."""
        return 0.0

    def _timed(self, rows: int, cols: int, inner: int) -> WaferEstimate:
        wafers = self.wafers(rows, cols, inner)
        assert wafers is not None
        users, room = self.workload.users, self.layers.room(rows, cols, inner)
        by_kind = {kind: self._token(rows, cols, inner, kind) for kind in self.config.kinds}
        kernels = self._whole(by_kind)
        ends = sum(cycles for name, cycles in kernels.items() if name in ENDS)
        layers = {kind: sum(n for name, n in one.items() if name not in ENDS) for kind, one in by_kind.items()}
        crossing = crossing_cycles(self.config, self.spec, self.workload.dtype) * (wafers > 1)
        interval = max(self.stage_cycles(ends, layers, wafers, (rows, cols, inner)), crossing)
        kernels[BETWEEN] = wafers * crossing
        kernels[WAITING] = self.waiting_cycles(room, sum(kernels.values()))
        cycles, held = sum(kernels.values()), self.held(room)
        rate = self.spec.clock_hz / max(cycles, users * interval)
        return WaferEstimate(
            self.name,
            wafers,
            (rows, cols),
            cycles,
            interval,
            kernels,
            self._bound(rows, cols, inner, kernels),
            self.fullest(room, held, rows),
            self._capacity(rows, room, held),
            rate,
            users * rate,
            1 - users * interval / max(cycles, users * interval),
            wafers * self.spec.system_watts / (users * rate),
        )

    def _token(self, rows: int, cols: int, inner: int, kind: LayerKind) -> dict[str, float]:
        """Cycles by kernel of embedding, head and one layer of that kind, as if all weights were there."""
        position, timed = self.layers.timed_position(rows), min(TIMED, self.config.layers)
        program, experts = self.program(rows, cols, inner, kind), self.config.experts
        active = 0 if experts is None else experts.active
        routing = drawn_routing(program.experts, active, 0, self.workload.chances)
        timing = TimingEngine(program, self.spec).token(position, 0, routing)
        kernels = {name: n / (1 if name in ENDS else timed) for name, n in timing.cycles_by_kernel.items()}
        shift = self.layers.shift_cycles(rows, cols, inner)
        return kernels | {SHIFT: float(shift)} if shift else kernels

    def _whole(self, by_kind: Mapping[LayerKind, dict[str, float]]) -> dict[str, float]:
        """Cycles by kernel of a token: embedding and head once, every kind as often as there are such layers."""
        whole = {name: n if name in ENDS else 0.0 for name, n in by_kind[self.config.kind(0)].items()}
        for kind, count in self.config.layers_by_kind.items():
            for name, n in by_kind[kind].items():
                if name not in ENDS:
                    whole[name] = whole.get(name, 0.0) + count * n
        return whole

    def _capacity(self, rows: int, room: PeRoom, held: Held) -> int:
        """Tokens of all users together: what weights and activations leave of every PE that holds caches."""
        free = self.spec.sram_bytes - room.working - held.weight_bytes - held.beside
        lines = min(rows, self.workload.users) if self.workload.kv == "concatenated" else rows
        return lines * (free // (held.layers * room.slot))

    def _bound(self, rows: int, cols: int, inner: int, kernels: dict[str, float]) -> str:
        """What takes most of a token in its layers: work on the PEs' own data, the fabric, or edges of wafers."""
        slots = self.layers.slots(rows)
        steps = {
            kind: [
                step for body in self.bodies(rows, cols, inner, kind) for step in body.steps if isinstance(step, Local)
            ]
            for kind in self.config.kinds
        }
        work = self.layers.of_all(
            {kind: sum(local_cycles(self.spec, step, slots) for step in held) for kind, held in steps.items()}
        )
        beside = {*ENDS, BETWEEN, WAITING}
        layers = sum(cycles for name, cycles in kernels.items() if name not in beside)
        shares = {
            "work on the PEs": work,
            "latency of the fabric": layers - work,
            "edges between wafers": kernels[BETWEEN],
            "weights streamed in over the edge": kernels[WAITING],
        }
        return max(shares, key=shares.__getitem__)


def crossing_cycles(config: ModelConfig, spec: WaferSpec, dtype: str) -> float:
    """From wafer to wafer: the hidden state's bits at the edge's bandwidth, and its latency, in cycles."""
    bits = 8 * config.hidden * ITEMSIZE[find_precision(dtype).activations]
    return (bits / spec.edge_bits_per_second + spec.edge_latency_seconds) * spec.clock_hz

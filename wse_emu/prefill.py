"""A prompt's prefill by GEMMs: its values on `numeric`, its cycles by `timing`, and the cache that it leaves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wse_emu.engines.numeric import NumericEngine, arrange
from wse_emu.engines.wafer_clock import TimingEngine, TokenTiming
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.prefill import check_prefill
from wse_emu.kernels.prefill_tiles import cached, hidden_of, hidden_tiles, weight_tiles
from wse_emu.mappings.handover import hand_over
from wse_emu.mappings.plan import Request
from wse_emu.mappings.prefill import PrefillPlan, plan_prefill
from wse_emu.models.config import ModelConfig
from wse_emu.models.model import Model
from wse_emu.program import Program, Value, to_blocks
from wse_emu.program.precision import round_to

PREFILLS = ("tokens", "gemm")
"""How a prompt is read: token by token as a decode, or all at once."""


def check_mode(mode: str, config: ModelConfig) -> None:
    """WseError for an unknown mode, or one that the model's layers do not have."""
    if mode not in PREFILLS:
        raise WseError(f"unknown prefill {mode!r}; what works: {', '.join(PREFILLS)}")
    if mode == "gemm":
        check_prefill(config)


@dataclass(frozen=True)
class PrefillCost:
    """What it took to read ``tokens`` of a prompt."""

    mode: str
    tokens: int
    cycles: int
    """By the timing model, those of the hand-over among them."""
    edge: int | None = None
    """Of the square of PEs, by GEMMs."""
    handover_cycles: int = 0
    """An estimate: keys and values go to where the decode caches them."""
    handover_wavelets: int = 0
    cycles_by_kernel: dict[str, int] = field(default_factory=dict)
    max_pe_bytes: int = 0
    """On the fullest PE of the square, by GEMMs."""


@dataclass(frozen=True)
class Prefilled:
    """What a prefill leaves: the last layer's hidden state (tokens, hidden), and by layer (keys, values), each
    (tokens, kv, *pairs).
    """

    hidden: np.ndarray
    caches: list[tuple[np.ndarray, np.ndarray]]


class Prefill:
    """A model's weights in the layout of one chunk; runs prompts of its length."""

    def __init__(self, model: Model, plan: PrefillPlan, spec: WaferSpec, numeric: NumericEngine) -> None:
        self.model, self.plan, self._numeric = model, plan, numeric
        self.timing: TokenTiming = TimingEngine(plan.program, spec).token(0)
        self._weights = [
            {v.name: self._arranged(call.prefix, v) for v in call.body.weights} for call in plan.program.calls
        ]

    def run(self, ids: Sequence[int]) -> Prefilled:
        """All layers for the tokens ``ids``, as many as the chunk has."""
        chunk, calls = self.plan.chunk, self.plan.program.calls
        assert len(ids) == chunk.tokens
        config = self.model.config
        rows = np.asarray(self.model.weights["embedding"][list(ids)]) * np.float32(config.embedding_scale)
        values: dict[str, Any] = {"hidden": self._blocks(calls[0].body.inputs[0], hidden_tiles(chunk, rows))}
        for call, weights in zip(calls, self._weights, strict=True):
            inputs = {v.name: values[name] for v, name in zip(call.body.inputs, call.takes, strict=True)}
            outputs, _ = self._numeric.run(call.body, inputs, weights, {}, 0)
            values |= {name: outputs[v.name] for name, v in zip(call.gives, call.body.outputs, strict=True)}
        found = {name: cached(chunk, self._tiles(values[name])) for call in calls[1:] for name in call.gives[1:]}
        caches = [(found[keys], found[held]) for _, keys, held in (call.gives for call in calls[1:])]
        return Prefilled(hidden_of(chunk, self._tiles(values["hidden"])), caches)

    def _arranged(self, prefix: str, value: Value) -> Any:
        tiles = weight_tiles(self.plan.chunk, self.model.weights, prefix, value.name)
        return arrange(self._numeric.backend, value, tiles, None)

    def _blocks(self, value: Value, array: np.ndarray) -> Any:
        held = to_blocks(np, round_to(array, value.dtype), value.layout, value.rows, value.cols)
        return self._numeric.backend.array(np.ascontiguousarray(held))

    def _tiles(self, blocks: Any) -> np.ndarray:
        """(P, P, *tile) of an array of blocks."""
        array = self._numeric.backend.numpy(blocks)
        tiles: np.ndarray = array.reshape(*array.shape[:2], *array.shape[5:])
        return tiles


def cache_blocks(state: Value, tokens: np.ndarray) -> np.ndarray:
    """``tokens`` (tokens, kv, *pairs) as the blocks of a decode's ``state``: position t on row t mod rows."""
    rows, slots = state.rows, state.block[0]
    held = np.zeros((slots * rows, *tokens.shape[1:]), dtype=tokens.dtype)
    held[: len(tokens)] = tokens
    held = held.reshape(slots, rows, *tokens.shape[1:]).swapaxes(0, 1).reshape(held.shape)
    return np.ascontiguousarray(to_blocks(np, held, state.layout, state.rows, state.cols))


class GemmPrefill:
    """Prefills of prompts of any length for a decode's ``program``; the layout of the last length is kept."""

    def __init__(self, model: Model, request: Request, program: Program, numeric: NumericEngine) -> None:
        self.model, self.request, self.program, self._numeric = model, request, program, numeric
        self._last: Prefill | None = None

    def run(self, ids: Sequence[int]) -> tuple[PrefillCost, list[dict[str, Any]]]:
        """What the prompt ``ids`` costs, and the states of every call of the decode behind it.

        Raises WseError where no square of PEs holds it.
        """
        if self._last is None or self._last.plan.chunk.tokens != len(ids):
            plan = plan_prefill(self.request, len(ids))
            self._last = Prefill(self.model, plan, self.request.spec, self._numeric)
        found, caches = self._last, iter(self._last.run(ids).caches)
        states = [self._states(call.body.states, caches) for call in self.program.calls]
        return self._cost(found), states

    def _cost(self, found: Prefill) -> PrefillCost:
        plan, timing = found.plan, found.timing
        moved = hand_over(plan.chunk, plan.region, self.program, self.request.spec)
        kernels = timing.cycles_by_kernel | {"hand-over": moved.cycles}
        total, most = timing.cycles + moved.cycles, plan.memory.max_pe_bytes
        return PrefillCost(
            "gemm", plan.chunk.tokens, total, plan.chunk.edge, moved.cycles, moved.wavelets, kernels, most
        )

    def _states(self, states: tuple[Value, ...], caches: Iterator[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
        if not states:
            return {}
        backend = self._numeric.backend
        pairs = zip(states, next(caches), strict=True)
        return {state.name: backend.array(cache_blocks(state, tokens)) for state, tokens in pairs}

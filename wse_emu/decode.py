"""A session: map a model once, then decode token after token, with values from `numeric` and cycles from `timing`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from wse_emu.engines.backend import Backend, load_backend
from wse_emu.engines.estimate import Estimator
from wse_emu.engines.numeric import NumericEngine, arrange, matrices
from wse_emu.engines.wafer_clock import TimingEngine, TokenTiming
from wse_emu.engines.wavelet.recorder import Recorder
from wse_emu.engines.wavelet_clock import Kept, WaveletClock
from wse_emu.engines.wavelet_clock import Progress as Cycles
from wse_emu.errors import WseError
from wse_emu.fabric.defects import Defects
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.kernels.arrays import weight_array
from wse_emu.kernels.decoder import CHOSEN
from wse_emu.kernels.sample import sample
from wse_emu.mappings.plan import Plan, Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models.config import ModelConfig
from wse_emu.models.model import Model
from wse_emu.notebook import bars, card, wafer
from wse_emu.prefill import GemmPrefill, PrefillCost, check_mode
from wse_emu.program import Call, Program, Routing
from wse_emu.program.precision import Precision, find_precision

ENGINES = ("timing", "wavelet")
"""What gives the cycles of a decode."""
Progress = Callable[[int, int], None]
"""(tensors loaded, tensors in all)"""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: greedily on the wafer at temperature 0, else drawn by the host."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    @property
    def greedy(self) -> bool:
        return self.temperature == 0


@dataclass(frozen=True)
class Decoded:
    """One new token: the logits (vocabulary,) it was chosen from, and the timing of the pass that gave them."""

    token: int
    logits: np.ndarray
    timing: TokenTiming


@dataclass
class Result:
    """A finished decode."""

    prompt_ids: list[int]
    tokens: list[Decoded]
    text: str
    prefill_cycles: int
    clocks: np.ndarray
    """Cycle at which each PE finished the last token, relative to the first to finish; −1: unused. [rows, columns]"""
    links: np.ndarray
    """Wavelets that left each PE while the tokens were decoded, without the prompt. [E W N S, rows, columns]"""
    seconds: dict[str, float] = field(default_factory=dict)
    clock_hz: float = 1.0
    dtype: str = "float32"
    """Of the activations, and therefore of the logits."""
    met: dict[int, np.ndarray] = field(default_factory=dict)
    """How many tokens each expert met, the prompt's included: (experts,) by sparse layer."""
    prefill: PrefillCost | None = None
    """How the prompt but for its last token was read; None: it had one token."""

    @property
    def time_to_first_token_seconds(self) -> float:
        """Of the emulated wafer: the prefill, and the pass that gives the first new token."""
        return (self.prefill_cycles + self.cycles_per_token[0]) / self.clock_hz

    @property
    def prefill_tokens_per_second(self) -> float | None:
        """Of the emulated wafer; None where there was nothing to read."""
        return self.prefill.tokens * self.clock_hz / self.prefill_cycles if self.prefill else None

    @property
    def logits(self) -> np.ndarray:
        """What each token was chosen from, (tokens, vocabulary) float32."""
        return np.stack([decoded.logits for decoded in self.tokens])

    @property
    def token_ids(self) -> list[int]:
        return [decoded.token for decoded in self.tokens]

    @property
    def cycles_per_token(self) -> list[int]:
        return [decoded.timing.cycles for decoded in self.tokens]

    @property
    def modelled_cycles_per_token(self) -> list[int] | None:
        """What the timing model says, where ``cycles_per_token`` are exact."""
        found = [decoded.timing.modelled_cycles for decoded in self.tokens]
        return [count for count in found if count is not None] or None

    @property
    def tokens_per_second(self) -> float:
        """Of the emulated wafer."""
        return self.clock_hz * len(self.tokens) / sum(self.cycles_per_token)

    @property
    def cycles_by_kernel(self) -> dict[str, float]:
        """Mean cycles per token."""
        names = dict.fromkeys(name for decoded in self.tokens for name in decoded.timing.cycles_by_kernel)
        count = len(self.tokens)
        return {name: sum(d.timing.cycles_by_kernel.get(name, 0) for d in self.tokens) / count for name in names}

    def _repr_html_(self) -> str:
        level = "timing model" if self.modelled_cycles_per_token is None else "cycle-exact"
        rows = [
            ("text", self.text or " ".join(map(str, self.token_ids)), "computed"),
            ("decode", f"{self.tokens_per_second:,.0f} tokens/s", level),
            ("cycles per token", f"{sum(self.cycles_per_token) / len(self.tokens):,.0f}", f"{level}, mean"),
            ("wavelet-hops per token", f"{self.links.sum() / len(self.tokens):,.0f}", level),
            ("prefill", f"{self.prefill_cycles:,} cycles", "timing model"),
        ]
        return card(f"{len(self.tokens)} decoded tokens", rows, bars(self.cycles_by_kernel, "cycles per token"))


class Session:
    """A model mapped onto a wafer. Make one with :func:`map_model`."""

    def __init__(
        self,
        model: Model,
        request: Request,
        plan: Plan,
        backend: str | Backend,
        clock: TimingEngine | WaveletClock,
        *,
        progress: Progress | None = None,
        prefill: str = "tokens",
    ) -> None:
        self.model, self.plan, self.spec = model, plan, request.spec
        self.positions, self.clock, self.precision = request.positions, clock, request.precision
        self.seconds = {"load": 0.0, "decode": 0.0, "timing": 0.0}
        self._numeric = NumericEngine(load_backend(backend))
        headless = _without_head(plan.program)
        self._engines = {"decode": clock, "prefill": TimingEngine(headless, self.spec)}
        self._on_host = request.on_host
        self._generator = np.random.default_rng(0)
        self._gemms = GemmPrefill(model, request, plan.program, self._numeric) if prefill == "gemm" else None
        started = perf_counter()
        self._weights = self._load(progress)
        self.seconds["load"] = perf_counter() - started
        self.reset()

    def _repr_html_(self) -> str:
        memory, spec, plan = self.plan.memory, self.spec, self.plan
        rows = [
            ("wafer", f"{spec.name}, {spec.columns:,} × {spec.rows:,} PEs, {spec.clock_hz / 1e9:g} GHz", ""),
            ("mapping", f"{plan.mapping}, {plan.placement}: {len(plan.regions)} regions", ""),
            ("numbers", f"{self.precision.name}, room for {self.positions} positions", ""),
            ("SRAM", f"{memory.used_bytes / 1e6:,.1f} of {memory.capacity_bytes / 1e6:,.0f} MB", "counted"),
            ("fullest PE", f"{memory.max_pe_bytes:,} of {memory.capacity_pe_bytes:,} bytes", "counted"),
        ]
        places = [(name, r.x, r.y, r.width, r.height) for name, r in plan.regions.items()]
        return card(f"{self.model.name} on {spec.name}", rows, wafer(spec.columns, spec.rows, places))

    def reset(self) -> None:
        """Forget all tokens."""
        backend, config = self._numeric.backend, self.model.config
        self._position = 0
        sparse = [layer for layer in range(config.layers) if config.kind(layer).sparse]
        count = 0 if config.experts is None else config.experts.count
        self.met = {layer: np.zeros(count, dtype=np.int64) for layer in sparse}
        """How many tokens each expert met, the prompt's included, by sparse layer."""
        self._states = [
            {
                s.name: backend.xp.zeros((s.rows, *s.grid[1:], *s.block), dtype=backend.dtype(s.dtype))
                for s in call.body.states
            }
            for call in self.plan.program.calls
        ]

    def step(self, token: int, *, head: bool = True) -> np.ndarray | None:
        """Run one token through the model; returns its logits (vocabulary,) float32, or None without the head.

        The token that the wafer itself chose is then in ``best``.
        """
        backend = self._numeric.backend
        values: dict[str, Any] = {"token": backend.array(np.full((1, 1, 1, 1), token, dtype=np.int32))}
        self.routing: Routing = ()
        for index, call in enumerate(self.plan.program.calls):
            gives = self._gives(call)
            if gives is None or (call.body.name == "head" and not head):
                continue
            inputs = {v.name: values[name] for v, name in zip(call.body.inputs, call.takes, strict=True)}
            outputs, self._states[index] = self._numeric.run(
                call.body, inputs, self._weights[index], self._states[index], self._position
            )
            values.update(zip(gives, (outputs[v.name] for v in call.body.outputs), strict=True))
            self._note_chosen(gives, values)
        self._position += 1
        if not head:
            return None
        self.best = int(backend.numpy(values["token"]).ravel()[0])
        logits = backend.numpy(values["logits"]).reshape(-1)[: self.model.config.vocabulary]
        return logits.astype(np.float32, copy=False)

    def _gives(self, call: Call) -> tuple[str, ...] | None:
        """Names of what ``call`` yields; None for an expert that the token at hand does not meet."""
        if call.expert is None:
            return call.gives
        _, chosen = self.routing[-1]
        return (call.expert.slot(chosen.index(call.expert.number)),) if call.expert.number in chosen else None

    def _note_chosen(self, gives: tuple[str, ...], values: dict[str, Any]) -> None:
        """Remember which experts the token meets in the layer that has just chosen them."""
        name = next((name for name in gives if name.endswith(f".{CHOSEN}")), None)
        if name is not None:
            layer, chosen = int(name.split(".")[1]), self._numeric.backend.numpy(values[name]).ravel()
            self.routing = (*self.routing, (layer, tuple(chosen.tolist())))
            self.met[layer][chosen] += 1

    def stream(self, prompt_ids: Sequence[int], tokens: int, sampling: Sampling | None = None) -> Iterator[Decoded]:
        """Decode up to ``tokens`` new tokens one by one; stops behind an end-of-sequence token.

        Raises WseError for an empty prompt, ids outside the vocabulary, or more tokens than the session has room for.
        """
        sampling = sampling or Sampling()
        check_prompt(self.model.config, prompt_ids, tokens, self.positions)
        if sampling.greedy == self._on_host:
            raise WseError(
                "this session was mapped for the other way of sampling: map_model(..., on_host=temperature > 0)"
            )
        self._generator = generator = np.random.default_rng(sampling.seed)
        self.reset()
        self.prefill = self._prefill(prompt_ids[:-1])
        token, pattern = prompt_ids[-1], 0
        for position in range(self._position, self._position + tokens):
            logits = self._timed_step(token)
            assert logits is not None
            timing = self._time("decode", position, pattern)
            token = self.best if sampling.greedy else _draw(logits, generator, sampling)
            pattern = timing.end
            yield Decoded(token, logits, timing)
            if self.model.tokenizer is not None and token in self.model.tokenizer.eos_ids:
                return

    @property
    def sampling_state(self) -> dict[str, Any]:
        """Of the generator that the host draws with, as numpy's bit generators give it."""
        return dict(self._generator.bit_generator.state)

    def decode(self, prompt: str | Sequence[int], tokens: int = 32, sampling: Sampling | None = None) -> Result:
        """Decode ``tokens`` new tokens after ``prompt``, a text or token ids."""
        ids = self.encode(prompt) if isinstance(prompt, str) else list(prompt)
        return self.result(ids, list(self.stream(ids, tokens, sampling)))

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``; WseError if the model came without a tokenizer."""
        if self.model.tokenizer is None:
            raise WseError(f"{self.model.name} has no tokenizer: give token ids (--prompt-ids)")
        return self.model.tokenizer.encode(text)

    def result(self, prompt_ids: list[int], tokens: list[Decoded]) -> Result:
        """What a finished stream amounts to."""
        engine = self.clock
        timings = [decoded.timing for decoded in tokens]
        tokenizer = self.model.tokenizer
        return Result(
            prompt_ids,
            tokens,
            tokenizer.decode([d.token for d in tokens]) if tokenizer else "",
            self.prefill.cycles if self.prefill else 0,
            engine.clocks(timings[-1]),
            engine.links(timings),
            dict(self.seconds),
            self.spec.clock_hz,
            self.precision.activations,
            {layer: met.copy() for layer, met in self.met.items()},
            self.prefill,
        )

    def _prefill(self, ids: Sequence[int]) -> PrefillCost | None:
        """Fill the caches with ``ids``; what that costs."""
        if not ids:
            return None
        if self._gemms is None:
            cycles = 0
            for position, token in enumerate(ids):
                self._timed_step(token, head=False)
                cycles += self._time("prefill", position).cycles
            return PrefillCost("tokens", len(ids), cycles)
        started = perf_counter()
        cost, states = self._gemms.run(ids)
        self._states, self._position = states, len(ids)
        self.seconds["decode"] += perf_counter() - started
        return cost

    def _time(self, engine: str, position: int, start: int = 0) -> TokenTiming:
        started = perf_counter()
        timing = self._engines[engine].token(position, start, self.routing)
        self.seconds["timing"] += perf_counter() - started
        return timing

    def _timed_step(self, token: int, *, head: bool = True) -> np.ndarray | None:
        started = perf_counter()
        logits = self.step(token, head=head)
        self.seconds["decode"] += perf_counter() - started
        return logits

    def _load(self, progress: Progress | None) -> list[dict[str, Any]]:
        """Every call's weights as its engine keeps them; equal ones are kept once."""
        backend, model = self._numeric.backend, self.model
        wanted = {(call.prefix + v.name, v): (call, v) for call in self.plan.program.calls for v in call.body.weights}
        kept: dict[Any, Any] = {}
        for done, (key, (call, value)) in enumerate(wanted.items(), 1):
            array = weight_array(model.config, model.weights, call.prefix, value.name)
            kept[key] = arrange(backend, value, array, matrices(call.body).get(value.name))
            if progress:
                progress(done, len(wanted))
        return [{v.name: kept[call.prefix + v.name, v] for v in call.body.weights} for call in self.plan.program.calls]


def check_prompt(config: ModelConfig, prompt_ids: Sequence[int], tokens: int, positions: int) -> None:
    """WseError for an empty prompt, an id outside the vocabulary, or more tokens than there are ``positions`` for."""
    if not prompt_ids:
        raise WseError("the prompt is empty: at least one token works")
    if tokens < 1:
        raise WseError(f"{tokens} tokens to decode: at least 1 works")
    for place, token in enumerate(prompt_ids):
        if not 0 <= token < config.vocabulary:
            raise WseError(
                f"prompt id {token} (place {place}) is outside the vocabulary: 0 to {config.vocabulary - 1} work"
            )
    if len(prompt_ids) + tokens > positions:
        raise WseError(
            f"{len(prompt_ids)} prompt tokens and {tokens} new ones are more than the context of {positions}: a "
            "shorter prompt, or fewer tokens, work"
        )


def _check_narrow(backend: Backend, precision: Precision) -> None:
    if precision.activations != "float32" and not backend.narrow:
        raise WseError(f"the backend {backend.name} computes in float32 alone: numpy works with {precision}")


def _draw(logits: np.ndarray, generator: np.random.Generator, sampling: Sampling) -> int:
    return sample(logits, generator, temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p)


def _without_head(program: Program) -> Program:
    """The program of a prompt's token whose logits nobody needs: no head, and no move to it."""
    last = max(i for i, step in enumerate(program.steps) if isinstance(step, Call) and step.body.name != "head")
    return Program(f"{program.name} prefill", program.steps[: last + 1], program.defects)


def map_model(
    model: Model,
    *,
    wafer: str | WaferSpec = "wse3",
    mapping: str = "shared",
    placement: str = "row_major",
    reduce: str = "auto",
    dtype: str | Precision = "float32",
    backend: str | Backend = "numpy",
    positions: int | None = None,
    shape: tuple[int, int] | None = None,
    on_host: bool = False,
    defects: Defects | None = None,
    experts: str = "sharded",
    engine: str = "timing",
    progress: Progress | None = None,
    on_cycles: Cycles | None = None,
    recorder: Recorder | None = None,
    record_steps: bool = False,
    kept: Kept | None = None,
    prefill: str = "tokens",
) -> Session:
    """Map ``model`` onto a wafer and load its weights.

    ``positions`` is the number of tokens that the KV cache holds (default: 256, or the model's context if shorter);
    ``shape`` fixes (rows, columns) of the shared region, or of each layer's; ``on_host`` lets the host sample; regions
    and routes keep out of ``defects``. ``experts`` are cut over all PEs of their layer's region ("sharded"), or have
    a region each ("regions", with the mapping "pipeline").
    ``dtype`` is that of the numbers on the PEs: "float32", "float16", "bfloat16", "int8" or "int4" (weights alone), or
    a :class:`wse_emu.Precision`.
    ``engine`` gives the cycles: "timing" in no time, "wavelet" cycle-exact, telling ``on_cycles`` how far it is and
    ``recorder`` what happens in the first token. With ``record_steps`` the timing of every token has all its steps.
    ``kept`` has what the wavelet engine found before for the same model, mapped the same way.
    ``prefill`` reads a prompt by "tokens", or as "gemm": all at once.
    Raises WseError for unknown names, a region off the mesh, or a model that does not fit.
    """
    spec = load_wafer(wafer) if isinstance(wafer, str) else wafer
    context = model.config.context
    positions = min(256, context) if positions is None else positions
    if positions > context:
        raise WseError(f"{positions} positions are more than the context of {model.name}, {context}: fewer work")
    _check_narrow(load_backend(backend), find_precision(dtype))
    if engine not in ENGINES:
        raise WseError(f"unknown engine {engine!r}; what works: {', '.join(ENGINES)}")
    check_mode(prefill, model.config)
    request = Request(
        model.config,
        spec,
        positions,
        reduce,
        Estimator(spec),
        placement,
        on_host,
        shape,
        dtype,
        defects=defects or Defects(),
        experts=experts,
    )
    started = perf_counter()
    plan = make_plan(mapping, request)
    planned = perf_counter() - started
    clock = (
        TimingEngine(plan.program, spec, record=record_steps)
        if engine == "timing"
        else WaveletClock(plan.program, spec, on_cycles, recorder, record=record_steps, kept=kept)
    )
    session = Session(model, request, plan, backend, clock, progress=progress, prefill=prefill)
    session.seconds["plan"] = planned
    return session

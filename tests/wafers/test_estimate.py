"""Estimates from shapes alone: against whole plans, a small simulation of the stages, and arithmetic by hand."""

import heapq
from dataclasses import replace
from math import ceil, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.test_hf_experts import DEEPSEEK
from wse_emu.engines.assembly import assemble_body
from wse_emu.engines.estimate import Estimator
from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.engines.wavelet import Machine
from wse_emu.errors import WseError
from wse_emu.hardware import load_wafer
from wse_emu.kernels.decoder import inner_columns
from wse_emu.mappings.layers import Pipeline
from wse_emu.mappings.plan import Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models.config import LayerKind, ModelConfig
from wse_emu.models.known import load_config
from wse_emu.program import Body
from wse_emu.program.routing import drawn_routing
from wse_emu.wafers import Workload, estimate
from wse_emu.wafers.apart import Apart
from wse_emu.wafers.layers import Layers, PeRoom
from wse_emu.wafers.layout import ENDS, crossing_cycles
from wse_emu.wafers.pipeline import Pipelined
from wse_emu.wafers.shared import Shared
from wse_emu.wafers.workload import least_wafers

WSE3 = load_wafer("wse3")


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_two_layers_stand_for_all_of_them(mapping: str) -> None:
    """The whole program of tiny on one mini, run by the timing engine, against the estimate's extrapolation."""
    config, spec = load_config("tiny"), load_wafer("mini")
    found = {one.mapping: one for one in _layouts("tiny", "mini", Workload(1, 128, "float32"))}[mapping]
    request = Request(config, spec, 128, "auto", Estimator(spec), shape=found.region)
    plan = make_plan(mapping, request)
    assert found.cycles_per_token == pytest.approx(TimingEngine(plan.program, spec).token(64).cycles, rel=0.03)


def _layouts(model: str, wafer: str, workload: Workload) -> list:  # type: ignore[type-arg]
    layers = Layers(load_config(model), load_wafer(wafer), workload)
    return [layout(layers).best(None) for layout in (Shared, Pipelined)]


def test_bytes_on_a_pe_are_those_of_a_whole_plan() -> None:
    found = _layouts("llama-3.1-8b", "wse3", Workload(1, 4096))[0]
    request = Request(
        load_config("llama-3.1-8b"), WSE3, 4096, "auto", Estimator(WSE3), shape=found.region, dtype="float16"
    )
    (parts,) = make_plan("shared", request).memory.by_region.values()
    assert found.pe_bytes["kv_cache"] == parts["kv_cache"]
    assert found.pe_bytes["weights"] <= parts["weights"], "the plan's count embedding and head too"
    assert found.pe_bytes["working"] <= parts["activations"] + parts["runtime"]


@settings(max_examples=60, deadline=None)
@given(stages=st.lists(st.integers(1, 50), min_size=1, max_size=8), users=st.integers(1, 20))
def test_the_steady_state_is_that_of_a_simulation(stages: list[int], users: int) -> None:
    """Tokens of ``users`` go around stages that work on one at a time: the rate is min(users / Σ t, 1 / max t)."""
    rounds = 200
    free, done = [0] * len(stages), 0
    queue = [(0, user, 0) for user in range(users)]
    ends: list[int] = []
    while done < rounds * users:
        time, user, stage = heapq.heappop(queue)
        free[stage] = max(time, free[stage]) + stages[stage]
        if stage == len(stages) - 1:
            done += 1
            ends.append(free[stage])
        heapq.heappush(queue, (free[stage], user, (stage + 1) % len(stages)))
    half = len(ends) // 2
    ends.sort()
    measured = (len(ends) - 1 - half) / (ends[-1] - ends[half])
    assert measured == pytest.approx(min(users / sum(stages), 1 / max(stages)), rel=0.06)


def test_more_users_share_what_there_is() -> None:
    totals, each = [], []
    for users in (1, 4, 16):
        found = estimate(load_config("llama-3.1-8b"), WSE3, Workload(users, 1024))
        totals.append(found.tokens_per_second_total)
        each.append(found.tokens_per_second_per_user)
        assert found.tokens_per_second_total == pytest.approx(users * found.tokens_per_second_per_user)
        assert found.wafers >= least_wafers(load_config("llama-3.1-8b"), WSE3, Workload(users, 1024))
        assert found.kv_capacity_tokens >= users * 1024
    assert totals == sorted(totals)


def test_replicas_share_users_and_wafers() -> None:
    config = load_config("llama-3.1-8b")
    few, many = (estimate(config, WSE3, Workload(users, 1024), wafers) for users, wafers in ((64, 2), (512, 16)))
    assert many.replicas > few.replicas
    part = estimate(config, WSE3, Workload(512 // many.replicas, 1024), 16 // many.replicas)
    assert many.tokens_per_second_per_user == pytest.approx(part.tokens_per_second_per_user)
    assert many.tokens_per_second_total == pytest.approx(many.replicas * part.tokens_per_second_total)
    assert many.wafers == many.replicas * part.wafers <= 16
    assert many.kv_capacity_tokens == many.replicas * part.kv_capacity_tokens >= 512 * 1024


def test_a_large_model_takes_the_wafers_that_its_bytes_need() -> None:
    """405 billion parameters of 2 bytes are 18.7 wafers of 43.4 GB; padding and the runtime take the rest."""
    config = load_config("llama-3.1-405b")
    found = estimate(config, WSE3, Workload(1, 4096))
    assert ceil(2 * config.parameters / (WSE3.pes * WSE3.sram_bytes)) == 19
    assert 19 < found.wafers <= 30
    assert found.cycles_by_kernel["between wafers"] == pytest.approx(
        found.wafers * (5e-6 + 16384 * 16 / 1.2e12) * 1.1e9
    ), "the hidden state at 1.2 Tb/s, and 5 µs, out of one wafer and into the next"
    assert crossing_cycles(config, WSE3, "float16") * found.wafers == found.cycles_by_kernel["between wafers"]


@pytest.mark.parametrize(
    ("workload", "wafers", "said"),
    [
        (Workload(0), None, "0 users: at least 1 works"),
        (Workload(1, 0), None, "a context of 0 tokens: 1 to 131,072"),
        (Workload(1, 200_000), None, "a context of 200,000 tokens: 1 to 131,072"),
        (Workload(1), 0, "0 wafers: at least 1 works"),
        (Workload(1000, 8192), 1, "fit 1 wse3 in no way.*by bytes alone both take 28"),
        (Workload(1, 64, "int3"), None, "precision 'int3'"),
    ],
)
def test_what_no_wafer_does(workload: Workload, wafers: int | None, said: str) -> None:
    with pytest.raises(WseError, match=said):
        estimate(load_config("llama-3.1-8b"), WSE3, workload, wafers)


MIXED = ModelConfig.from_hf(
    {
        "model_type": "qwen3_moe",
        "vocab_size": 300,
        "hidden_size": 64,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 200,
        "moe_intermediate_size": 48,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "mlp_only_layers": [0, 3],
        "max_position_embeddings": 128,
    }
)
"""Two kinds of layers: dense ones among sparse ones."""


@pytest.mark.parametrize("mapping", [Shared, Pipelined])
def test_layers_of_two_kinds_are_timed_once_each(mapping: type[Shared | Pipelined]) -> None:
    """The whole program against the sum over kinds; one cut after another would be off by a tenth."""
    spec, workload = load_wafer("wse3"), Workload(1, 128, "float32")
    found = mapping(Layers(MIXED, spec, workload)).best(None)
    assert found is not None
    plan = make_plan(found.mapping, Request(MIXED, spec, 128, "auto", Estimator(spec), shape=found.region))
    exact = TimingEngine(plan.program, spec).token(64).cycles
    assert found.cycles_per_token == pytest.approx(exact, rel=0.03)
    kernels = [
        mapping(Layers(MIXED.alike(kind, 5), spec, workload))._token(*found.region, 4, kind) for kind in MIXED.kinds
    ]
    dense, sparse = (sum(n for name, n in one.items() if name not in ENDS) for one in kernels)
    assert sparse > 1.1 * dense, "either kind alone would be off by more than that"


def one_by_one(room: PeRoom, layers: list[LayerKind], free: int) -> tuple[int, int]:
    """Wafers that layers fill in order, and bytes on a PE of the fullest one."""
    used = [room.ends]
    layer_bytes = [0]
    for kind in layers:
        if used[-1] + room.layer(kind) > free:
            used.append(0)
            layer_bytes.append(0)
        used[-1] += room.layer(kind)
        layer_bytes[-1] += room.layer(kind)
    return len(used), max(layer_bytes)


@given(
    kinds=st.lists(st.booleans(), min_size=1, max_size=30),
    dense=st.integers(1, 40),
    sparse=st.integers(1, 40),
    cache=st.integers(0, 9),
    ends=st.integers(0, 50),
)
def test_wafers_are_filled_layer_after_layer(kinds: list[bool], dense: int, sparse: int, cache: int, ends: int) -> None:
    config = replace(MIXED, layers=len(kinds), sparse=tuple(kinds))
    room = PeRoom({LayerKind(): dense, LayerKind(sparse=True): sparse}, 1, cache, 1, 4, ends)
    spec = replace(WSE3, sram_bytes=54)
    wafers, held = Shared(Layers(config, spec, Workload(1, 64)))._filled(room)
    layers = [config.kind(i) for i in range(config.layers)]
    assert (wafers, held.weight_bytes + held.layers * cache) == one_by_one(room, layers, 50)


@pytest.mark.parametrize("name", ["mixtral-8x7b"])
def test_all_experts_are_stored_and_the_active_ones_worked_with(name: str) -> None:
    config = load_config(name)
    assert config.experts is not None
    found = Pipelined(Layers(config, WSE3, Workload(1, 1024))).best(None)
    halved = replace(config, experts=replace(config.experts, active=config.experts.active // 2))
    fewer = Pipelined(Layers(halved, WSE3, Workload(1, 1024))).best(None)
    assert found is not None
    assert fewer is not None
    assert fewer.wafers == found.wafers
    assert found.wafers * WSE3.pes * WSE3.sram_bytes > 2 * config.parameters
    assert fewer.cycles_by_kernel["experts"] < 0.9 * found.cycles_by_kernel["experts"]


def test_experts_on_regions_take_as_long_as_the_whole_pipeline() -> None:
    """All five layers with a drawn routing, by the timing engine, against two of each kind."""
    spec, workload = load_wafer("wse3"), Workload(1, 128, "float32", experts="regions")
    apart = Apart(Layers(MIXED, spec, workload))
    found = apart.best(None)
    assert found is not None
    (rows, cols), inner = found.region, inner_columns(MIXED, found.region[1])[-1]
    ends = apart.ends_columns(rows)
    assert ends is not None
    program = apart._laid(Pipeline(apart.layers.request, rows, cols, inner, ends, apart.beside(rows, cols)))
    exact = TimingEngine(program, spec).token(64, 0, drawn_routing(program.experts, 2, 3)).cycles
    assert found.cycles_per_token == pytest.approx(exact, rel=0.03)
    assert found.cycles_by_kernel["dispatch"] > 0


def test_the_busiest_expert_sets_the_pace_of_many_users() -> None:
    config = load_config("mixtral-8x7b")
    even, skewed = (
        Apart(Layers(config, WSE3, Workload(512, 256, experts="regions", chances=chances)))
        for chances in (None, (50.0, 50.0, *[1.0] * 6))
    )
    found = even.best(None)
    assert found is not None
    rows, cols = found.region
    shape = rows, cols, inner_columns(config, cols)[-1]
    paces = [one.stage_cycles(0, one.cycles(*shape), 1, shape) for one in (even, skewed)]
    expert = even.layers.request.estimator.body_cycles(even._expert(rows, cols), 1)
    likely = 50 / 106 * (1 + 50 / 56) + 6 / 106 * 50 / 105  # first, second after the other likely one, or after any
    assert paces[0] < paces[1]
    assert paces[1] == pytest.approx(likely * expert, rel=0.02)


@pytest.mark.parametrize(
    ("model", "workload", "said"),
    [
        ("llama-3.1-8b", Workload(1, 64, experts="regions"), "a llama model of this shape has no experts"),
        ("llama-3.1-8b", Workload(1, 64, chances=(1.0,)), "has no experts"),
        ("mixtral-8x7b", Workload(1, 64, experts="apart"), "experts 'apart': sharded or regions works"),
        ("mixtral-8x7b", Workload(1, 64, chances=(1.0, 2.0)), "chances of 8 experts"),
    ],
)
def test_what_experts_are_asked_for(model: str, workload: Workload, said: str) -> None:
    with pytest.raises(WseError, match=said):
        estimate(load_config(model), WSE3, workload)


LATENT = ModelConfig.from_hf(DEEPSEEK)


@pytest.mark.parametrize("mapping", [Shared, Pipelined])
def test_latent_attention_is_timed_and_stored_by_its_shape(mapping: type[Shared | Pipelined]) -> None:
    """A token leaves a latent and a rotated key in the cache, once for all heads."""
    spec, workload = load_wafer("wse3"), Workload(1, 128, "float16")
    found = mapping(Layers(LATENT, spec, workload)).best(None)
    assert found is not None
    plan = make_plan(
        found.mapping, Request(LATENT, spec, 128, "auto", Estimator(spec), shape=found.region, dtype="float16")
    )
    exact = TimingEngine(plan.program, spec).token(64).cycles
    assert found.cycles_per_token == pytest.approx(exact, rel=0.03)
    layer = next(call.body for call in plan.program.calls if call.body.name == "layer")
    assert sum(prod(state.shape) for state in layer.states) == 128 * LATENT.cache_width
    weights = sum(prod(value.shape) for value in layer.weights)
    assert weights == LATENT.parameters_of(LATENT.kind(0))
    assert Machine(assemble_body(layer, spec)).run().clock.max() == _alone(layer)


def _alone(body: Body) -> int:
    clock = BodyClock(WSE3, body, np.zeros((body.rows, body.cols), dtype=np.int64), 1)
    clock.run()
    return int(clock.clock.max()) + clock.offset

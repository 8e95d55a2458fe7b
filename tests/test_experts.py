"""Experts on regions of their own: the same tokens, moves that follow the routing, and who met how many tokens."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.oracle import random_models
from tests.oracle.reference import assert_agrees, greedy
from tests.wafers.test_estimate import MIXED
from wse_emu.decode import Session, map_model
from wse_emu.engines.estimate import Estimator
from wse_emu.errors import WseError
from wse_emu.fabric import Region
from wse_emu.hardware import load_wafer
from wse_emu.mappings.plan import Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models import Model, load_model
from wse_emu.models.experts import Experts
from wse_emu.program import Transfer
from wse_emu.program.routing import drawn_routing
from wse_emu.report.summary import colors

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
FAST = ("qwen2_moe", "gpt_oss")


def loaded(name: str, folder: Path) -> Model:
    return load_model(str(random_models.saved(random_models.make(name), folder / name)))


def apart(model: Model, shape: tuple[int, int] | None, **options: object) -> Session:
    given = {"positions": 40, "mapping": "pipeline", "experts": "regions", "shape": shape} | options
    return map_model(model, **given)  # type: ignore[arg-type]


def check(name: str, folder: Path, tokens: int, shape: tuple[int, int] | None, **options: object) -> None:
    expected = greedy(random_models.make(name), PROMPT, tokens)
    result = apart(loaded(name, folder), shape, **options).decode(PROMPT, tokens)
    assert_agrees(result.token_ids, result.logits, expected)


@pytest.mark.parametrize("name", FAST)
def test_experts_on_regions_write_the_tokens_of_transformers(name: str, tmp_path: Path) -> None:
    check(name, tmp_path, 6, (7, 5))


@pytest.mark.slow
@pytest.mark.parametrize("name", random_models.MIXTURES)
@pytest.mark.parametrize("shape", [None, (6, 11), (13, 4)])
def test_experts_on_regions_write_32_tokens_of_transformers(
    name: str, shape: tuple[int, int] | None, tmp_path: Path
) -> None:
    check(name, tmp_path, 32, shape)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_experts_on_regions_round_as_sharded_ones_do(dtype: str, tmp_path: Path) -> None:
    """Other orders of additions, in 16 bits."""
    model = loaded("mixtral", tmp_path)
    logits = [
        map_model(model, positions=20, mapping="pipeline", shape=(7, 5), dtype=dtype, experts=lie).decode(PROMPT, 1)
        for lie in ("sharded", "regions")
    ]
    assert np.abs(logits[0].logits - logits[1].logits).max() < 0.05


def test_an_expert_is_met_as_often_as_in_transformers(tmp_path: Path) -> None:
    """By the router's logits there, of the prompt and of all new tokens but the last."""
    import torch

    original, model = random_models.make("mixtral"), loaded("mixtral", tmp_path)
    found = {
        lie: map_model(model, positions=20, mapping="pipeline", experts=lie, shape=(5, 4)).decode(PROMPT, 6)
        for lie in ("sharded", "regions")
    }
    ids = PROMPT + found["regions"].token_ids[:-1]
    with torch.no_grad():
        logits = original(input_ids=torch.tensor([ids]), output_router_logits=True).router_logits
    experts = model.config.experts
    assert experts is not None
    for layer, rows in enumerate(logits):
        chosen = rows.reshape(len(ids), -1).topk(experts.active, dim=-1).indices.numpy()
        expected = np.bincount(chosen.ravel(), minlength=experts.count)
        for result in found.values():
            np.testing.assert_array_equal(result.met[layer], expected)


def test_wavelets_go_to_the_experts_that_a_token_meets_and_back(tmp_path: Path) -> None:
    """Hops by hand: along the rows from the layer's region to the far end of the last expert's, and the ways back."""
    session = apart(loaded("olmoe", tmp_path), (7, 5))
    result = session.decode(PROMPT, 4)
    program = session.plan.program
    regions = {(c.expert.layer, c.expert.number): c.region for c in program.calls if c.expert is not None}
    total = 0
    for decoded in result.tokens:
        moved: dict[Region, int] = {}
        for step in program.routed(decoded.timing.routing).steps:
            if isinstance(step, Transfer) and step.expert is not None:
                for end in (step.source,) if step.back else step.targets:
                    moved[end] = moved.get(end, 0) + 1
                total += sum(_hops(step, row) for row in range(step.source.height)) * step.value.wavelets
        chosen = [(layer, number) for layer, numbers in decoded.timing.routing for number in numbers]
        met = {regions[place] for place in chosen}
        assert moved == dict.fromkeys(met, 2), "once there, once back, for the experts met and no others"
    kept = [d.timing for d in result.tokens]
    without = session.clock.links([])
    assert not without.any()
    bodies = sum(int(ran.links.sum()) * calls for timing in kept for _, ran, calls in timing.crossings)
    plain = sum(
        sum(_hops(step, row) for row in range(step.source.height)) * step.value.wavelets * len(kept)
        for step in program.steps
        if isinstance(step, Transfer) and step.expert is None
    )
    assert int(result.links.sum()) == bodies + plain + total


def _hops(move: Transfer, row: int) -> int:
    """Links of one row's way: along y in the column that it leaves by, then over the target's row, every link once."""
    columns = {move.source.x + row % move.source.width, move.source.right - 1 - row % move.source.width}
    ways = []
    for x in columns:
        ends = [x, min(t.x for t in move.targets), max(t.right for t in move.targets) - 1]
        ways.append(abs(move.target.y - move.source.y) + max(ends) - min(ends))
    from wse_emu.engines.moves import move_plan

    plan = move_plan(move.source, move.span)
    assert int(plan.columns[row]) in columns
    return ways[list(columns).index(int(plan.columns[row]))]


@pytest.mark.parametrize("name", [pytest.param("qwen2_moe", marks=pytest.mark.slow), "mixtral"])
def test_both_engines_time_a_routed_token_alike(name: str, tmp_path: Path) -> None:
    """Streams of two experts share the links home; the timing engine takes each as if it had them alone."""
    session = apart(loaded(name, tmp_path), (5, 4), engine="wavelet")
    result = session.decode(PROMPT[:1], 1)
    assert result.modelled_cycles_per_token == pytest.approx(result.cycles_per_token, rel=0.01)
    timed = apart(loaded(name, tmp_path), (5, 4)).decode(PROMPT[:1], 1)
    np.testing.assert_array_equal(timed.links, result.links)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "columns"), [((4, 6), 14), ((3, 5), 12)])
def test_experts_on_several_shelves_are_timed_alike_but_for_streams_that_share_links(
    shape: tuple[int, int], columns: int, tmp_path: Path
) -> None:
    model, spec = loaded("mixtral", tmp_path), replace(load_wafer("wse3"), columns=columns, rows=90)
    session = apart(model, shape, wafer=spec, engine="wavelet", reduce="chain")
    regions = session.plan.regions.items()
    shelves = {region.y for name, region in regions if name.startswith("layer 0, expert")}
    assert len(shelves) > 1, "no shelf of this wafer holds all experts"
    result = session.decode(PROMPT[:4], 2)
    assert result.modelled_cycles_per_token == pytest.approx(result.cycles_per_token, rel=0.005)
    np.testing.assert_array_equal(
        result.links, apart(model, shape, wafer=spec, reduce="chain").decode(PROMPT[:4], 2).links
    )


def colors_taken(active: int) -> int | None:
    """By one token of a model whose layers' reductions are all chains; None if there are too few."""
    config, spec = replace(MIXED, experts=Experts(16, active, 48)), load_wafer("wse3")
    request = Request(config, spec, 64, "chain", Estimator(spec), shape=(8, 8), experts="regions")
    program = make_plan("pipeline", request).program
    used: int | None = colors(program.routed(drawn_routing(program.experts, active, 0)), spec)["used"]
    return used


def test_every_expert_that_a_token_meets_takes_a_color_home_and_all_of_them_one_there() -> None:
    few = colors_taken(2)
    assert few is not None
    assert [colors_taken(active) for active in (4, 8, 12)] == [few + 2, few + 6, None]


def test_every_expert_has_its_own_bytes(tmp_path: Path) -> None:
    model = loaded("qwen3_moe", tmp_path)
    plan = apart(model, (7, 5)).plan
    calls = [call for call in plan.program.calls if call.expert is not None]
    assert len({call.region for call in calls}) == len(calls) == 2 * 9
    experts = model.config.experts
    assert experts is not None
    for call in calls:
        assert plan.memory.by_region[call.region]["weights"] == sum(v.block_bytes for v in call.body.weights)
    homes = [call for call in plan.program.calls if call.body.name == "layer"]
    assert all("experts_down" not in {v.name for v in call.body.weights} for call in homes)


def test_regions_are_refused_where_there_are_none(tmp_path: Path) -> None:
    model = loaded("olmoe", tmp_path)
    for options in ({"mapping": "shared", "experts": "regions"}, {"mapping": "pipeline", "experts": "apart"}):
        with pytest.raises(WseError, match=r"works?$"):
            map_model(model, **options)  # type: ignore[arg-type]
    with pytest.raises(WseError, match="mini has no room"):
        apart(model, (9, 13), wafer="mini")

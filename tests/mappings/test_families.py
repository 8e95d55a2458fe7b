"""Published models of every family find room in both mappings, by their shapes alone."""

import pytest

from tests.models.test_hf_families import PUBLISHED
from wse_emu.engines.estimate import Estimator
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.hardware import load_wafer
from wse_emu.mappings.plan import Plan, Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models import ModelConfig


def planned(name: str, mapping: str, shape: tuple[int, int] | None = None) -> Plan:
    """In float16, with a cache of 256 tokens."""
    spec, config = load_wafer("wse3"), ModelConfig.from_hf(PUBLISHED[name][0])
    return make_plan(mapping, Request(config, spec, 256, "auto", Estimator(spec), shape=shape, dtype="float16"))


@pytest.mark.parametrize(("mapping", "shape"), [("shared", (432, 165)), ("pipeline", (277, 61))])
def test_each_kind_of_layer_has_one_body_and_the_angles_of_its_rope(mapping: str, shape: tuple[int, int]) -> None:
    """Gemma 3: five of six layers slide, with a base of their own."""
    calls = planned("Gemma-3-1B", mapping, shape).program.calls
    layers = [call for call in calls if call.body.name == "layer"]
    assert len(layers) == 26
    full = [i for i, call in enumerate(layers) if call.takes == ("hidden", "cos", "sin")]
    assert full == [5, 11, 17, 23]
    assert len({layers[i].body for i in full}) == 1
    others = [call for i, call in enumerate(layers) if i not in full]
    assert len({call.body for call in others}) == 1
    assert {call.takes for call in others} == {("hidden", "local_cos", "local_sin")}
    given = {call.gives: call.body.weights[0].name for call in calls if call.body.name == "angles"}
    assert given == {("cos", "sin"): "rope", ("local_cos", "local_sin"): "local_rope"}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_published_models_are_mapped_and_timed(name: str, mapping: str) -> None:
    """Slower than all PEs at four multiply-adds a cycle, their peak in float16; faster than one PE at one."""
    plan = planned(name, mapping)
    spec, (_, parameters) = load_wafer("wse3"), PUBLISHED[name]
    cycles = TimingEngine(plan.program, spec).token(128).cycles
    pes = sum(region.width * region.height for region in plan.regions.values())
    assert parameters / (4 * pes) < cycles < parameters

"""Shapes of regions: the fewest predicted cycles among those that fit."""

import pytest

from wse_emu.engines.estimate import Estimator
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.errors import WseError
from wse_emu.hardware import WaferSpec, load_wafer
from wse_emu.mappings.plan import Plan, Request
from wse_emu.mappings.registry import make_plan
from wse_emu.mappings.shapes import extents
from wse_emu.models import ModelConfig, Rope

LLAMA_8B = ModelConfig("llama", 128256, 4096, 32, 32, 8, 128, 14336, 131072, 1e-5, Rope(500000.0, "half"))
SMALL = ModelConfig("llama", 256, 64, 4, 4, 2, 16, 160, 512, 1e-5, Rope(10000.0, "half"))


def plan(config: ModelConfig, mapping: str, spec: WaferSpec, positions: int = 128, **options: object) -> Plan:
    request = Request(config, spec, positions, "auto", Estimator(spec), **options)  # type: ignore[arg-type]
    return make_plan(mapping, request)


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_an_eight_billion_parameter_model_fits_a_wse3_in_16_bits(mapping: str) -> None:
    made = plan(LLAMA_8B, mapping, load_wafer("wse3"), 4096, dtype="float16")
    assert made.memory.fits
    assert made.memory.used_bytes > 2 * LLAMA_8B.parameters
    regions = list(made.regions.values())
    assert not any(a.overlaps(b) for i, a in enumerate(regions) for b in regions[:i])


def test_the_chosen_shape_is_no_worse_than_a_square_one() -> None:
    spec = load_wafer("wse3")
    chosen = plan(SMALL, "shared", spec)
    square = plan(SMALL, "shared", spec, shape=(16, 16))
    cycles = [TimingEngine(made.program, spec).token(64).cycles for made in (chosen, square)]
    assert cycles[0] <= cycles[1]


def test_the_estimate_is_never_below_the_timing_engine() -> None:
    spec = load_wafer("wse3")
    made = plan(SMALL, "shared", spec)
    estimate = Estimator(spec).program_cycles(made.program, 64)
    exact = TimingEngine(made.program, spec).token(64).cycles
    assert exact <= estimate <= 1.2 * exact


def test_a_model_that_does_not_fit_says_who_how_much_and_what_would() -> None:
    with pytest.raises(WseError) as caught:
        plan(LLAMA_8B, "shared", load_wafer("wse3"), 4096)
    text = str(caught.value)
    for expected in (
        "on each PE of",
        "more than the 49,152 of wse3",
        "weights",
        "kv cache",
        "16-bit weights and cache",
    ):
        assert expected in text
    with pytest.raises(WseError, match="such wafers"):
        plan(LLAMA_8B, "shared", load_wafer("mini"))
    with pytest.raises(WseError, match="has no room for so many; the mapping `shared`"):
        plan(SMALL, "pipeline", load_wafer("mini"), shape=(9, 16))


def test_extents_pad_little() -> None:
    for extent in extents(576, 1000):
        block = -(-576 // extent)
        assert (extent - 1) * block < 576, "no smaller extent has the same block"
    assert extents(7, 3) == [1, 2, 3]

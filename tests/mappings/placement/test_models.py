"""Placement problems of mapped models: the same cycles as the timing engine, the same order as the wavelet engine."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from wse_emu.engines.estimate import Estimator
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.engines.wavelet_clock import WaveletClock
from wse_emu.fabric import Defects
from wse_emu.hardware import WaferSpec, load_wafer
from wse_emu.mappings.layers import Pipeline, fitted_pipeline
from wse_emu.mappings.placement import Placement, PlacementProblem, check_placement
from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.models import layer_problem
from wse_emu.mappings.placement.strategies.slots import free_corners
from wse_emu.mappings.plan import Request
from wse_emu.models import ModelConfig, Rope

SMALL = ModelConfig("llama", 64, 16, 3, 2, 1, 8, 32, 64, 1e-5, Rope(10000.0, "half"))
MODELS = {
    "llama": SMALL,
    "windows": replace(
        SMALL, family="gemma3_text", window=3, windowed=(True, False, True), local_rope=Rope(100.0, "half")
    ),
    "unrotated": replace(SMALL, family="gpt2", rope=Rope(1.0, "half", rotated=0), learned_positions=True),
}
"""Layers alike, of two kinds, and without rotary angles."""
POSITION = 5


def wafer(columns: int, rows: int, **more: Any) -> WaferSpec:
    """A small piece of a wse3, which has seams of its own."""
    spec = load_wafer("wse3")
    held = {"columns": columns, "rows": rows, "fabric_columns": columns, "fabric_rows": rows, "row_seams": (7, 16)}
    return replace(spec, **{**held, **more})


@cache
def mapped(  # noqa: PLR0917
    columns: int,
    rows: int,
    shape: tuple[int, int],
    column_seams: tuple[int, ...],
    defects: Defects | None = None,
    model: str = "llama",
) -> tuple[Pipeline, PlacementProblem]:
    spec = wafer(columns, rows, column_seams=column_seams)
    request = Request(MODELS[model], spec, 16, "auto", Estimator(spec), shape=shape, defects=defects or Defects())
    held = fitted_pipeline(request)
    return held, layer_problem(held, POSITION)


def random_placement(problem: PlacementProblem, rng: np.random.Generator) -> Placement | None:
    """Blocks one after another on any free place."""
    free, corners = problem.free, []
    for block in problem.blocks:
        width, height = block.shapes[0].width, block.shapes[0].height
        places = np.argwhere(free_corners(problem, free, width, height))
        if not len(places):
            return None
        y, x = places[rng.integers(len(places))].tolist()
        free[y : y + height, x : x + width] = False
        corners.append((x, y))
    return Placement(tuple(x for x, _ in corners), tuple(y for _, y in corners), (0,) * len(corners))


def random_placements(problem: PlacementProblem, count: int, seed: int) -> list[Placement]:
    rng = np.random.default_rng(seed)
    found: list[Placement] = []
    while len(found) < count:
        placement = random_placement(problem, rng)
        if placement is not None:
            check_placement(problem, placement)
            found.append(placement)
    return found


def engine_cycles(pipeline: Pipeline, problem: PlacementProblem, placement: Placement) -> int:
    program = pipeline.program(placement.regions(problem))
    return TimingEngine(program, pipeline.request.spec).token(POSITION).cycles


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from([(4, 4), (5, 3), (3, 6)]),
    column_seams=st.sampled_from([(), (9,)]),
    defects=st.sampled_from([None, Defects.of([(12, 12), (3, 20)], [((17, 4), (18, 4))])]),
    model=st.sampled_from(sorted(MODELS)),
    seed=st.integers(0, 2**32 - 1),
)
def test_cycles_are_the_timing_engines(
    shape: tuple[int, int], column_seams: tuple[int, ...], defects: Defects | None, model: str, seed: int
) -> None:
    pipeline, problem = mapped(24, 25, shape, column_seams, defects, model)
    placements = random_placements(problem, 6, seed)
    x, y = (np.array([getattr(p, axis) for p in placements]) for axis in ("x", "y"))
    found = Evaluator(problem).costs(x, y, None, ("cycles",))["cycles"]
    assert found.tolist() == [engine_cycles(pipeline, problem, p) for p in placements]


def test_a_windowed_layer_takes_longer_than_a_full_one() -> None:
    """Its mask reaches the positions that have left the window: here one more vector, of two slots."""
    _, problem = mapped(24, 25, (4, 4), (), None, "windows")
    first, full, last = (block.shapes[0].cycles for block in problem.blocks[1:])
    assert first == last > full


def test_a_batch_of_one_at_a_time_is_the_same() -> None:
    _, problem = mapped(24, 25, (4, 4), ())
    placements = random_placements(problem, 8, 1)
    x, y = (np.array([getattr(p, axis) for p in placements]) for axis in ("x", "y"))
    together = Evaluator(problem).costs(x, y, None, ("cycles", "contended_cycles", "busiest_link"))
    for i, placement in enumerate(placements):
        alone = Evaluator(problem).cost(placement, ("cycles", "contended_cycles", "busiest_link"))
        assert {name: values[i] for name, values in together.items()} == pytest.approx(alone)


def test_the_busiest_link_is_no_less_than_what_the_engine_counts() -> None:
    """Every lane is taken to use the whole way from its region's first column on, which the engine's lanes do not."""
    pipeline, problem = mapped(24, 25, (5, 3), ())
    ratios = []
    for placement in random_placements(problem, 20, 2):
        engine = TimingEngine(pipeline.program(placement.regions(problem)), pipeline.request.spec)
        timing = engine.token(POSITION)
        moves = engine.links([replace(timing, crossings=())])
        found = Evaluator(problem).cost(placement, ("busiest_link",))["busiest_link"]
        ratios.append(found / moves.max())
    assert min(ratios) >= 1
    assert np.median(ratios) < 1.6


@pytest.mark.slow
def test_the_order_of_predicted_cycles_is_that_of_the_wavelet_engine() -> None:
    """Twenty random placements on a small wafer: Kendall's τ of at least 0.9."""
    pipeline, problem = mapped(24, 25, (4, 4), ())
    placements = random_placements(problem, 20, 3)
    x, y = (np.array([getattr(p, axis) for p in placements]) for axis in ("x", "y"))
    predicted = Evaluator(problem).costs(x, y, None, ("cycles",))["cycles"]
    exact = [
        WaveletClock(pipeline.program(p.regions(problem)), pipeline.request.spec).token(POSITION).cycles
        for p in placements
    ]
    assert len(set(exact)) > 10
    assert kendalltau(predicted, exact).statistic >= 0.9
    assert np.abs(predicted / exact - 1).max() < 0.02

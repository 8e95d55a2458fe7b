"""Whole tokens, cycle by cycle, beside the timing model's."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.streams import Case, cases
from tests.engines.test_wafer_clock import IN_A_ROW, SPEC, pipeline, shared
from tests.oracle import smollm2
from wse_emu.engines.assembly import assemble, assemble_body
from wse_emu.engines.estimate import Estimator
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.engines.wavelet import Machine, Outcome
from wse_emu.engines.wavelet.recorder import Recorder
from wse_emu.engines.wavelet_clock import WaveletClock
from wse_emu.errors import WseError
from wse_emu.fabric.defects import Defects
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.hardware import load_wafer
from wse_emu.mappings.plan import Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models import load_model
from wse_emu.program import Call, Program

PROGRAMS = {
    "shared": shared(),
    "trees, on the host": shared(3, 5, "tree", on_host=True),
    "pipeline in a row": pipeline(cols=4, corners=IN_A_ROW),
    "pipeline around corners": pipeline(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_tokens_take_the_cycles_and_links_of_the_timing_model(name: str) -> None:
    """Three tokens, each from the clocks that the one before left; contention may cost a few cycles."""
    program = PROGRAMS[name]
    exact, model = WaveletClock(program, SPEC), TimingEngine(program, SPEC)
    start = model_start = 0
    timings, modelled = [], []
    for position in range(3):
        timings.append(exact.token(position, start))
        modelled.append(model.token(position, model_start))
        start, model_start = timings[-1].end, modelled[-1].end
        assert timings[-1].modelled_cycles == modelled[-1].cycles
        assert abs(timings[-1].cycles - modelled[-1].cycles) <= 0.02 * modelled[-1].cycles
        assert sum(timings[-1].cycles_by_kernel.values()) == timings[-1].cycles
    np.testing.assert_array_equal(exact.links(timings), model.links(modelled))


def test_kernels_share_a_token_as_the_timing_model_says() -> None:
    program = PROGRAMS["shared"]
    exact, model = WaveletClock(program, SPEC).token(0), TimingEngine(program, SPEC).token(0)
    assert exact.cycles_by_kernel.keys() == model.cycles_by_kernel.keys()
    for kernel, cycles in exact.cycles_by_kernel.items():
        assert abs(cycles - model.cycles_by_kernel[kernel]) <= 0.05 * model.cycles


def test_equal_tokens_run_once_and_only_the_first_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Machine] = []
    run = Machine.run

    def noted(machine: Machine, progress: Callable[[int], None] | None = None) -> Outcome:
        runs.append(machine)
        return run(machine, progress)

    monkeypatch.setattr(Machine, "run", noted)
    clock = WaveletClock(PROGRAMS["shared"], SPEC, recorder=Recorder(10**6))
    first = clock.token(0)
    assert clock.token(1) is first
    clock.token(1, first.end)
    assert [machine.recorder is not None for machine in runs] == [True, False]
    assert clock.recorded is not None


def test_a_dead_pe_in_a_region_is_named_before_the_run() -> None:
    program = PROGRAMS["shared"]
    inside, outside = Defects(pes=frozenset({(4, 3)})), Defects(pes=frozenset({(30, 20)}))
    with pytest.raises(WseError, match=r"covers the dead PE \(4, 3\)"):
        assemble(replace(program, defects=inside), SPEC, 1)
    assert (
        Machine(assemble(replace(program, defects=outside), SPEC, 1)).run().cycles
        == WaveletClock(program, SPEC).token(0).cycles
    )


@settings(max_examples=25, deadline=None)
@given(
    case=cases(most=6),
    dead=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6),
    corner=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_defects_are_kept_out_of_or_change_nothing(
    case: Case, dead: set[tuple[int, int]], corner: tuple[int, int]
) -> None:
    body, defects = case.body(), Defects(pes=frozenset(dead))
    region = Region(*corner, case.cols, case.rows)
    program = Program("alone", (Call(body, region, (), ()),), defects)
    if any(region.contains(pe) for pe in dead):
        with pytest.raises(WseError, match="covers the dead PE"):
            assemble(program, SPEC, 1)
    else:
        outcome = Machine(assemble(program, SPEC, 1)).run()
        np.testing.assert_array_equal(outcome.clock, Machine(assemble_body(body, SPEC)).run().clock)


def test_moves_go_around_dead_pes_and_links() -> None:
    program = PROGRAMS["pipeline around corners"]
    defects = Defects.of([(15, y) for y in range(1, 4)] + [(26, 9)], [((8, 3), (9, 3)), ((27, 11), (27, 12))])
    around = replace(program, defects=defects)
    exact, model = WaveletClock(around, SPEC), TimingEngine(around, SPEC)
    timing, modelled = exact.token(0), model.token(0)
    assert abs(timing.cycles - modelled.cycles) <= 0.02 * modelled.cycles
    assert modelled.cycles > TimingEngine(program, SPEC).token(0).cycles
    links = exact.links([timing])
    np.testing.assert_array_equal(links, model.links([modelled]))
    assert links.any()
    assert not links[Mesh.from_spec(SPEC, defects=defects).closed].any()


def whole_token(name: str) -> tuple[int, int]:
    """Cycles of a token of the model ``name`` on wse3, exact and by the timing model."""
    spec = load_wafer("wse3")
    request = Request(load_model(name).config, spec, 128, "auto", Estimator(spec))
    timing = WaveletClock(make_plan("shared", request).program, spec).token(10)
    assert timing.modelled_cycles is not None
    return timing.cycles, timing.modelled_cycles


@pytest.mark.slow
def test_a_whole_token_of_tiny_takes_the_cycles_of_the_timing_model() -> None:
    exact, modelled = whole_token("tiny")
    assert exact == modelled


@pytest.mark.slow
def test_a_whole_token_of_smollm2_takes_the_cycles_of_the_timing_model() -> None:
    smollm2.path()
    exact, modelled = whole_token("smollm2")
    assert exact == modelled

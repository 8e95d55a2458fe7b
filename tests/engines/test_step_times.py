"""What every step of a token cost: rows that add up to the token, in both engines."""

import numpy as np
import pytest

from tests.engines.test_wafer_clock import SPEC, pipeline, shared
from wse_emu.engines.activity import activity, activity_maps
from wse_emu.engines.step_times import CAUSES
from wse_emu.engines.wafer_clock import TimingEngine, TokenTiming
from wse_emu.engines.wavelet_clock import WaveletClock
from wse_emu.program import Program

PROGRAMS = {
    "a layer": Program("a layer", shared().steps[:3]),
    "shared": shared(),
    "shared, chain": shared(algorithm="chain"),
    "shared, tree": shared(algorithm="tree"),
    "shared, host": shared(on_host=True),
    "pipeline": pipeline(),
}


def timed(engine: TimingEngine | WaveletClock, tokens: int = 3) -> list[TokenTiming]:
    """Some tokens in a row."""
    found, start = [], 0
    for position in range(tokens):
        found.append(engine.token(position, start))
        start = found[-1].end
    return found


def busy_cycles(program: Program) -> np.ndarray:
    return np.asarray(sum(activity_maps(activity(program, SPEC, [(1, ())]), SPEC)))


def kernel_sums(engine: TimingEngine, timing: TokenTiming) -> dict[str, int]:
    assert timing.steps is not None
    sums = dict.fromkeys(timing.steps.rows.kernel, 0)
    for kernel, cycles in zip(timing.steps.rows.kernel, (timing.steps.end - timing.steps.start).tolist(), strict=True):
        sums[kernel] += cycles
    return {kernel: cycles for kernel, cycles in sums.items() if cycles}


@pytest.mark.parametrize("name", PROGRAMS)
def test_rows_of_a_region_follow_each_other_and_end_with_the_token(name: str) -> None:
    engine = TimingEngine(PROGRAMS[name], SPEC, record=True)
    for timing in timed(engine):
        steps = timing.steps
        assert steps is not None
        assert steps.end.max() - steps.begin == timing.cycles
        for region in dict.fromkeys(steps.rows.region):
            here = np.array([found == region for found in steps.rows.region])
            assert (steps.start[here][1:] == steps.end[here][:-1]).all()
        causes = steps.causes()
        assert (causes >= 0).all()
        assert (causes.sum(axis=0) == steps.end - steps.start).all()
        assert steps.wavelet_hops.sum() == engine.links([timing]).sum()


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name.startswith("shared")])
def test_on_one_region_the_rows_of_a_kernel_sum_to_its_cycles(name: str) -> None:
    engine = TimingEngine(PROGRAMS[name], SPEC, record=True)
    for timing in timed(engine):
        counted = {kernel: cycles for kernel, cycles in timing.cycles_by_kernel.items() if cycles}
        assert kernel_sums(engine, timing) == counted


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("a layer", 1),
        pytest.param("shared", 2, marks=pytest.mark.slow),
        pytest.param("shared, chain", 2, marks=pytest.mark.slow),  # by tree, the model is an estimate
        pytest.param("pipeline", 2, marks=pytest.mark.slow),
    ],
)
def test_every_step_begins_and_ends_in_the_cycle_that_the_wavelet_engine_says(name: str, tokens: int) -> None:
    exact = WaveletClock(PROGRAMS[name], SPEC, record=True)
    model = TimingEngine(PROGRAMS[name], SPEC, record=True)
    for found, expected in zip(timed(exact, tokens), timed(model, tokens), strict=True):
        assert found.steps is not None
        assert expected.steps is not None
        for column in ("start", "end"):
            ours, theirs = getattr(found.steps, column), getattr(expected.steps, column)
            np.testing.assert_array_equal(ours - found.steps.begin, theirs - expected.steps.begin)
        np.testing.assert_array_equal(found.steps.wavelet_hops, expected.steps.wavelet_hops)


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_pe_is_busy_for_longer_than_its_clock_says(name: str) -> None:
    engine = TimingEngine(PROGRAMS[name], SPEC)
    (timing,) = timed(engine, 1)
    busy, clocks = busy_cycles(PROGRAMS[name]), engine.clocks(timing)
    used = clocks >= 0
    elapsed = clocks + (timing.cycles - clocks.max())
    assert (busy[used] <= elapsed[used]).all()
    assert busy[used].min() > 0
    assert not busy[~used].any()


def test_moves_wait_for_the_region_that_sends() -> None:
    engine = TimingEngine(PROGRAMS["pipeline"], SPEC, record=True)
    (timing,) = timed(engine, 1)
    assert timing.steps is not None
    waits = timing.steps.causes()[CAUSES.index("wait")]
    receiving = np.array([name == "receive" for name in timing.steps.rows.operation])
    assert (waits[receiving] > 0).all()
    assert not waits[~receiving].any()
    assert timing.steps.rows.layer[receiving].tolist() == [0, 1, 2, 3, 4, 5, -1]


def test_idle_cycles_are_what_a_pe_is_not_busy_on_average() -> None:
    """Computed from whole tokens: mean growth of the clocks less the mean of the busy cycles."""
    program: Program = PROGRAMS["shared"]
    engine = TimingEngine(program, SPEC, record=True)
    (timing,) = timed(engine, 1)
    assert timing.steps is not None
    used = engine.clocks(timing) >= 0
    clocks = engine.clocks(timing)[used]
    elapsed = clocks.mean() + timing.cycles - clocks.max()
    busy = busy_cycles(program)[used].mean()
    assert timing.steps.idle.sum() == pytest.approx(elapsed - busy)


def test_nothing_is_recorded_unless_asked_for_and_recording_changes_nothing() -> None:
    for program in PROGRAMS.values():
        plain, recorded = timed(TimingEngine(program, SPEC)), timed(TimingEngine(program, SPEC, record=True))
        assert all(timing.steps is None for timing in plain)
        assert [t.cycles for t in plain] == [t.cycles for t in recorded]
        assert [t.cycles_by_kernel for t in plain] == [t.cycles_by_kernel for t in recorded]

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_emu.engines.repeats import repeat
from wse_emu.engines.timing import BodyClock
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.kernels.waferllm import gemm_step, mesh_gemv, shift_round
from wse_emu.program import Body

BODIES = {
    "gemv": mesh_gemv(7, 3, 2, 5),
    "gemm": gemm_step(5, (2, 3, 4)),
    "shift": shift_round(6, 9),
    "shift of a long tile": shift_round(4, 90),
}


def one_by_one(body: Body, spec: WaferSpec, rounds: int, start: np.ndarray) -> np.ndarray:
    clock = start
    for _ in range(rounds):
        run = BodyClock(spec, body, clock, 1)
        run.run()
        clock = run.clock + run.offset
    return clock


def random_start(body: Body, seed: int, spread: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, spread + 1, (body.rows, body.cols))


@pytest.mark.parametrize("name", BODIES)
@settings(max_examples=25, deadline=None)
@given(
    rounds=st.integers(0, 25),
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from((0, 5, 100, 3000)),
    wafer=st.sampled_from(("wse2", "wse3")),
)
def test_it_is_every_round_one_by_one(name: str, rounds: int, seed: int, spread: int, wafer: str) -> None:
    body, spec = BODIES[name], load_wafer(wafer)
    start = random_start(body, seed, spread)
    before = start.copy()
    np.testing.assert_array_equal(repeat(body, spec, rounds, start), one_by_one(body, spec, rounds, start))
    np.testing.assert_array_equal(start, before)


def test_no_round_leaves_the_clocks() -> None:
    start = random_start(BODIES["gemv"], 0, 100)
    np.testing.assert_array_equal(repeat(BODIES["gemv"], load_wafer("wse3"), 0, start), start)


@pytest.mark.parametrize("name", BODIES)
def test_rounds_may_be_cut_anywhere(name: str) -> None:
    body, spec = BODIES[name], replace(load_wafer("wse3"), stream_setup=3)
    start = random_start(body, 1, 500)
    at_a_time = repeat(body, spec, 30, start)
    np.testing.assert_array_equal(repeat(body, spec, 23, repeat(body, spec, 7, start)), at_a_time)


@pytest.mark.parametrize("name", BODIES)
def test_a_thousand_million_rounds_grow_by_the_rounds_that_come_back(name: str) -> None:
    """A delay that walks around both rings is back after as many rounds as a ring has PEs; a GEMV has no ring."""
    body, spec = BODIES[name], load_wafer("wse3")
    start = random_start(body, 2, 500)
    settled, once_around = (one_by_one(body, spec, rounds, start) for rounds in (60, 60 + body.rows))
    step = once_around - settled
    assert (step == step.flat[0]).all()
    rounds, left = divmod(10**9 - 60, body.rows)
    expected = one_by_one(body, spec, 60 + left, start) + rounds * step
    np.testing.assert_array_equal(repeat(body, spec, 10**9, start), expected)


def test_a_delay_walks_around_the_ring() -> None:
    """One PE late by 1000: it is never made up for, and every round another PE waits."""
    body, spec = BODIES["shift"], load_wafer("wse3")
    start = np.zeros((6, 6), dtype=np.int64)
    start[2, 3] = 1000
    growth = [one_by_one(body, spec, n + 1, start) - one_by_one(body, spec, n, start) for n in (30, 31, 36)]
    assert growth[0].min() < growth[0].max()
    assert (growth[0] != growth[1]).any()
    np.testing.assert_array_equal(growth[0], growth[2])
    np.testing.assert_array_equal(repeat(body, spec, 100, start), one_by_one(body, spec, 100, start))

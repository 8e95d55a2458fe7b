"""A body that runs again and again: the shortcut gives what running every round gives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_emu.engines.repeats import repeat
from wse_emu.engines.timing import BodyClock
from wse_emu.hardware.wafer import load_wafer
from wse_emu.kernels.waferllm import mesh_gemv, shift_round
from wse_emu.program import Body

SPEC = load_wafer("wse3")


def one_by_one(body: Body, rounds: int, start: np.ndarray) -> np.ndarray:
    clock = start
    for _ in range(rounds):
        run = BodyClock(SPEC, body, clock, 1)
        run.run()
        clock = run.clock + run.offset
    return clock


@settings(max_examples=30, deadline=None)
@given(
    rounds=st.integers(0, 30),
    edge=st.integers(1, 9),
    late=st.sampled_from((0, 5, 300)),
    seed=st.integers(0, 2**32 - 1),
    shifting=st.booleans(),
)
def test_rounds_alike_are_not_run(rounds: int, edge: int, late: int, seed: int, shifting: bool) -> None:
    body = shift_round(edge, 5) if shifting else mesh_gemv(edge, min(2, edge), 3, 4)
    start = np.random.default_rng(seed).integers(0, late + 1, (body.rows, body.cols))
    np.testing.assert_array_equal(repeat(body, SPEC, rounds, start), one_by_one(body, rounds, start))

from dataclasses import replace
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines import published
from tests.engines.streams import Case, cases
from wse_emu.engines.timing import BodyClock, collective_cycles
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.kernels.collectives import collective
from wse_emu.kernels.decoder import Shapes, Style, layer_body
from wse_emu.models.config import ModelConfig
from wse_emu.models.rope import Rope
from wse_emu.program import Body
from wse_emu.program.steps import Axis

WSE2, WSE3 = (replace(load_wafer(name), stream_setup=0) for name in ("wse2", "wse3"))
RAMP = 2
"""T_R of Luczynski et al., HPDC 2024 (arXiv 2404.15888)."""
AXES = st.sampled_from(("x", "y"))
EXTENTS, ELEMENTS = st.integers(2, 300), st.integers(1, 500)


def finish(spec: WaferSpec, body: Body, start: np.ndarray | None = None) -> np.ndarray:
    """The cycle in which every PE has finished."""
    start = np.zeros((body.rows, body.cols), dtype=np.int64) if start is None else start
    clock = BodyClock(spec, body, start, 1)
    clock.run()
    return clock.clock + clock.offset


def wse2_cycles(kind: str, algorithm: str, extent: int, elements: int, axis: Axis) -> np.ndarray:
    """Finish of the PEs of one line (all lines alike)."""
    rows, cols = (extent, 2) if axis == "y" else (2, extent)
    cycles = finish(WSE2, collective(kind, algorithm, rows, cols, elements, axis=axis))
    lines = cycles if axis == "y" else cycles.T
    assert (lines[:, :1] == lines).all()
    return lines[:, 0]


@settings(max_examples=60, deadline=None)
@given(extent=EXTENTS, elements=ELEMENTS, axis=AXES)
def test_a_chain_takes_the_published_cycles(extent: int, elements: int, axis: Axis) -> None:
    cycles = wse2_cycles("reduce", "chain", extent, elements, axis)
    assert cycles[0] == cycles.max() == elements + (2 * RAMP + 2) * (extent - 1)


@settings(max_examples=60, deadline=None)
@given(extent=EXTENTS, elements=ELEMENTS, axis=AXES)
def test_a_broadcast_takes_the_published_cycles(extent: int, elements: int, axis: Axis) -> None:
    cycles = wse2_cycles("broadcast", "chain", extent, elements, axis)
    assert cycles[-1] == cycles.max() == elements + extent + 2 * RAMP


@settings(max_examples=30, deadline=None)
@given(levels=st.integers(1, 9), elements=ELEMENTS, axis=AXES)
def test_a_tree_takes_the_published_cycles(levels: int, elements: int, axis: Axis) -> None:
    extent = 2**levels
    cycles = wse2_cycles("reduce", "tree", extent, elements, axis)
    assert cycles[0] == cycles.max() == elements * levels + (2 * RAMP + 1) * levels + extent - 1


@settings(max_examples=30, deadline=None)
@given(size=st.integers(2, 20), elements=ELEMENTS, axis=AXES)
def test_two_phases_take_the_published_cycles(size: int, elements: int, axis: Axis) -> None:
    extent = size * size
    cycles = wse2_cycles("reduce", "two_phase", extent, elements, axis)
    assert cycles[0] == 2 * elements + (2 * RAMP + 1) * (2 * size - 2) + extent - 1


@settings(max_examples=30, deadline=None)
@given(extent=EXTENTS, elements=ELEMENTS)
def test_halves_that_meet_in_the_middle_are_two_chains_one_after_the_other(extent: int, elements: int) -> None:
    """The left half waits before the root's router while the right one runs: then ramp, B cycles and a combine."""
    left, right = extent // 2, extent - 1 - extent // 2
    stage = 2 * RAMP + 2
    cycles = wse2_cycles("reduce", "two_way", extent, elements, "y")
    first = elements + stage * right
    expected = elements + stage * left
    expected = expected if right == 0 else max(first + elements + RAMP + 1, expected)
    assert cycles[extent // 2] == expected


@settings(max_examples=30, deadline=None)
@given(extent=EXTENTS, elements=ELEMENTS, algorithm=st.sampled_from(published.ALGORITHMS))
def test_an_all_reduce_is_a_reduction_and_a_broadcast_from_its_root(extent: int, elements: int, algorithm: str) -> None:
    reduced = wse2_cycles("reduce", algorithm, extent, elements, "y")
    root = published.root(algorithm, extent)
    farthest = max(root, extent - 1 - root)
    total = int(reduced[root]) + elements + farthest + 2 * RAMP + 1
    assert wse2_cycles("all_reduce", algorithm, extent, elements, "y").max() == total
    assert collective_cycles(WSE2, algorithm, extent, elements, "float32", back=True) == total
    assert collective_cycles(WSE2, algorithm, extent, elements, "float32", back=False) == reduced[root]


@given(extent=st.integers(2, 60), elements=st.integers(1, 60), dtype=st.sampled_from(("float16", "bfloat16")))
def test_two_narrow_elements_share_a_wavelet(extent: int, elements: int, dtype: str) -> None:
    body = collective("reduce", "chain", extent, 1, elements, dtype=dtype)
    assert finish(WSE2, body)[0, 0] == -(-elements // 2) + (2 * RAMP + 2) * (extent - 1)


@given(extent=st.integers(2, 60), elements=st.integers(1, 60))
def test_eight_wavelets_take_nine_cycles_and_a_stage_twelve_on_wse3(extent: int, elements: int) -> None:
    cycles = finish(WSE3, collective("reduce", "chain", extent, 1, elements))[0, 0]
    assert cycles == WSE3.stream_setup + ceil(Fraction(9, 8) * elements) + 12 * (extent - 1)


@given(elements=st.integers(1, 60), late=st.integers(0, 200))
def test_a_sender_is_ahead_of_a_late_receiver_by_what_the_queues_hold(elements: int, late: int) -> None:
    """wse2: 6 + 2 in the out queue, 2 before each router; the receiver's router waits until the receiver begins."""
    start = np.array([[late], [0]])
    receiver, sender = finish(WSE2, collective("reduce", "chain", 2, 1, elements), start)[:, 0]
    room = (6 + 2) + 2
    held = late + (elements - room) + 2 if elements > room else 0
    assert sender == max(elements, held)
    assert receiver == max(elements + 2 * RAMP + 2, late + elements + RAMP + 1)


def small_layer(rows: int, cols: int, inner: int, algorithm: str) -> Body:
    rope = Rope(theta=10000.0, pairing="half", scaling=None)
    config = ModelConfig(
        family="qwen3",
        vocabulary=50,
        hidden=21,
        layers=2,
        heads=6,
        kv_heads=3,
        head_dim=8,
        intermediate=19,
        context=64,
        norm_epsilon=1e-6,
        rope=rope,
        tied_embeddings=True,
        attention_bias=True,
        qk_norm=True,
    )
    return layer_body(Shapes(config, cols, inner), Style(reduce=algorithm), rows, positions=20)


@pytest.mark.parametrize("algorithm", published.ALGORITHMS)
@settings(max_examples=8, deadline=None)
@given(
    rows=st.integers(1, 9),
    shape=st.sampled_from(((3, 1), (7, 2), (6, 2), (13, 4))),
    slots=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_clocks_never_run_backwards(algorithm: str, rows: int, shape: tuple[int, int], slots: int, seed: int) -> None:
    cols, inner = shape
    body = small_layer(rows, cols, inner, algorithm)
    start = np.random.default_rng(seed).integers(0, 5000, (rows, cols))
    clock = BodyClock(WSE3, body, start, slots)
    before = start
    for step in body.steps:
        clock.step(step)
        after = clock.clock + clock.offset
        assert (after >= before).all(), step
        before = after.copy()
    assert sum(clock.kernel_cycles.values()) == before.max() - start.max()


@settings(max_examples=40, deadline=None)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_a_later_start_never_ends_earlier(case: Case, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 500, (case.rows, case.cols))
    later = start + rng.integers(0, 500, start.shape)
    assert (finish(WSE3, case.body(), later) >= finish(WSE3, case.body(), start)).all()

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines import published
from tests.engines.streams import Case, Line, cases, next_on_ring
from wse_emu.engines.timing import BodyClock, collective_ticks
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
    """The tick at which every PE has finished."""
    start = np.zeros((body.rows, body.cols), dtype=np.int64) if start is None else start
    clock = BodyClock(spec, body, start, 1)
    clock.run()
    return clock.clock + clock.offset


def wse2_cycles(kind: str, algorithm: str, extent: int, elements: int, axis: Axis) -> np.ndarray:
    """Finish of the PEs of one line (all lines alike); a tick of wse2 is a cycle."""
    rows, cols = (extent, 2) if axis == "y" else (2, extent)
    ticks = finish(WSE2, collective(kind, algorithm, rows, cols, elements, axis=axis))
    lines = ticks if axis == "y" else ticks.T
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
    """The right half streams while the left one runs: the root's last B cycles come on top of the left chain."""
    left, right = extent // 2, extent - 1 - extent // 2
    stage = 2 * RAMP + 2
    cycles = wse2_cycles("reduce", "two_way", extent, elements, "y")
    first = elements + stage * left
    expected = first if right == 0 else max(first + elements, elements + stage * right)
    assert cycles[extent // 2] == expected


@settings(max_examples=30, deadline=None)
@given(extent=EXTENTS, elements=ELEMENTS, algorithm=st.sampled_from(published.ALGORITHMS))
def test_an_all_reduce_is_a_reduction_and_a_broadcast_from_its_root(extent: int, elements: int, algorithm: str) -> None:
    reduced = wse2_cycles("reduce", algorithm, extent, elements, "y")
    root = published.root(algorithm, extent)
    farthest = max(root, extent - 1 - root)
    total = int(reduced[root]) + elements + farthest + 2 * RAMP + 1
    assert wse2_cycles("all_reduce", algorithm, extent, elements, "y").max() == total
    assert collective_ticks(WSE2, algorithm, extent, elements, "float32", back=True) == total
    assert collective_ticks(WSE2, algorithm, extent, elements, "float32", back=False) == reduced[root]


@given(extent=st.integers(2, 60), elements=st.integers(1, 60), dtype=st.sampled_from(("float16", "bfloat16")))
def test_two_narrow_elements_share_a_wavelet(extent: int, elements: int, dtype: str) -> None:
    body = collective("reduce", "chain", extent, 1, elements, dtype=dtype)
    assert finish(WSE2, body)[0, 0] == -(-elements // 2) + (2 * RAMP + 2) * (extent - 1)


@given(extent=st.integers(2, 60), elements=st.integers(1, 60))
def test_a_wavelet_takes_nine_eighths_of_a_cycle_and_a_stage_fourteen_cycles_on_wse3(
    extent: int, elements: int
) -> None:
    ticks = finish(WSE3, collective("reduce", "chain", extent, 1, elements))[0, 0]
    assert Fraction(int(ticks), WSE3.ticks_per_cycle) == Fraction(9, 8) * elements + 14 * (extent - 1)


# A second simulator: wavelet by wavelet, PE by PE, in fractions of a cycle


class Wavelets:
    """Send, receive, and combine-and-pass-on of one PE after another, as :mod:`wse_emu.engines.semantics` says it."""

    def __init__(self, spec: WaferSpec, case: Case, clocks: dict[tuple[int, int], Fraction]) -> None:
        self.spec, self.case, self.clocks = spec, case, clocks
        self.pace = Fraction(spec.link_interval)

    def run(self) -> None:
        for line in self.case.lines():
            if self.case.kind in {"reduce", "all_reduce"}:
                for arms in published.rounds(self.case.algorithm, len(line)):
                    for arm in arms:
                        self._arm([line[i] for i in arm])
            if self.case.kind == "broadcast":
                self._broadcast(line, self.case.place)
            if self.case.kind == "all_reduce":
                self._broadcast(line, published.root(self.case.algorithm, len(line)))
            if self.case.kind == "shift":
                for _ in range(abs(self.case.place)):
                    self._step(line, next_on_ring(len(line), self.case.place))

    def _travel(self, sender: tuple[int, int], receiver: tuple[int, int], inside: int) -> int:
        distance = abs(sender[0] - receiver[0]) + abs(sender[1] - receiver[1])
        return self.spec.ramp_cycles + distance * self.spec.hop_cycles + self.spec.ramp_cycles + inside

    def _send(self, pe: tuple[int, int]) -> list[Fraction]:
        """When each wavelet leaves."""
        leaves, time = [], self.clocks[pe] + self.spec.stream_setup
        for _ in range(self.case.wavelets):
            time += self.pace
            leaves.append(time)
        return leaves

    def _receive(self, pe: tuple[int, int], arrivals: list[Fraction]) -> list[Fraction]:
        """When each wavelet has been dealt with, and may leave again."""
        done, time = [], self.clocks[pe] + self.spec.stream_setup
        for arrival in arrivals:
            time = max(time + self.pace, arrival)
            done.append(time)
        return done

    def _arm(self, pes: Line) -> None:
        leaves = self._send(pes[0])
        self.clocks[pes[0]] = leaves[-1]
        for sender, pe in pairwise(pes):
            travel = self._travel(sender, pe, self.spec.combine_cycles)
            leaves = self._receive(pe, [time + travel for time in leaves])
            self.clocks[pe] = leaves[-1]

    def _broadcast(self, line: Line, root: int) -> None:
        if len(line) == 1:
            return
        leaves = self._send(line[root])
        for pe in line:
            if pe == line[root]:
                continue
            travel = self._travel(line[root], pe, self.spec.receive_cycles)
            self.clocks[pe] = self._receive(pe, [time + travel for time in leaves])[-1]
        self.clocks[line[root]] = leaves[-1]

    def _step(self, line: Line, targets: list[int]) -> None:
        """Everyone sends and receives at once; a PE has finished with the later of the two."""
        if len(line) == 1:
            return
        leaves = {pe: self._send(pe) for pe in line}
        ends = {}
        for start, stop in enumerate(targets):
            sender, pe = line[start], line[stop]
            travel = self._travel(sender, pe, self.spec.receive_cycles)
            ends[pe] = max(self._receive(pe, [time + travel for time in leaves[sender]])[-1], leaves[pe][-1])
        self.clocks.update(ends)


@settings(max_examples=400, deadline=None)
@given(
    case=cases(most=11, elements=9),
    setup=st.sampled_from((0, 0, 5)),
    spread=st.sampled_from((0, 40, 2000)),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_pe_finishes_when_the_wavelets_say_so(case: Case, setup: int, spread: int, seed: int) -> None:
    spec = replace(WSE3, stream_setup=setup)
    start = np.random.default_rng(seed).integers(0, spread + 1, (case.rows, case.cols))
    clocks = {(y, x): Fraction(int(t), 8) for (y, x), t in np.ndenumerate(start)}
    Wavelets(spec, case, clocks).run()
    expected = np.array([[clocks[y, x] * 8 for x in range(case.cols)] for y in range(case.rows)])
    np.testing.assert_array_equal(finish(spec, case.body(), start), expected)


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
    assert sum(clock.kernel_ticks.values()) == before.max() - start.max()


@settings(max_examples=40, deadline=None)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_a_later_start_never_ends_earlier(case: Case, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 500, (case.rows, case.cols))
    later = start + rng.integers(0, 500, start.shape)
    assert (finish(WSE3, case.body(), later) >= finish(WSE3, case.body(), start)).all()

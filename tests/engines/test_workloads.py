"""Workloads: what is delivered, over which links, how fast."""

import numpy as np
import pytest

from wse_emu.engines.workloads import TAP, WORKLOADS, Traffic, measure, workload
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer

WSE3 = load_wafer("wse3")
SMALL = Traffic(9, 11, 4, 1.0, 12)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_runs_to_its_end_and_leaves_nothing(name: str) -> None:
    measured = measure(workload(name, WSE3, SMALL), latencies=True)
    assert measured.cycles > 0
    assert measured.hops >= 0.5 * measured.delivered > 0
    assert 0 < measured.busiest_link <= 1
    assert measured.latency is not None
    assert 2 * WSE3.ramp_cycles <= measured.latency["median"] <= measured.latency["max"]


def test_a_lone_stream_is_delivered_at_the_interval_of_its_links() -> None:
    """5 rows of one color: every stream is sent at once, and its last wavelet leaves after ⌈9/8 · n⌉ cycles."""
    n, cols = 200, 30
    measured = measure(workload("streams", WSE3, Traffic(9, cols, 1, 1.0, n)), latencies=True)
    travel = 2 * WSE3.ramp_cycles + (cols - 2) * WSE3.hop_cycles
    assert measured.cycles == WSE3.stream_setup + -(-9 * n // 8) + travel + WSE3.receive_cycles
    taps = len(range(2, cols - 2, TAP)) + 1
    assert measured.delivered == 5 * n * taps
    assert measured.hops == 5 * n * (cols - 2)
    assert measured.latency is not None
    assert measured.latency["max"] == travel


def test_two_colors_of_one_source_take_turns() -> None:
    """A PE sends one wavelet an interval, for all its colors: twice as many take twice as long, and none waits."""
    n = 400
    alone = measure(workload("streams", WSE3, Traffic(40, 40, 4, 1.0, n)))
    shared = measure(workload("streams", WSE3, Traffic(40, 40, 8, 1.0, n)))
    assert alone.crowded == shared.crowded == 0
    assert shared.cycles - alone.cycles == n * 9 // 8
    assert shared.busiest_link > 0.9


def test_a_lower_load_uses_less_of_the_links() -> None:
    loads = [measure(workload("streams", WSE3, Traffic(12, 12, 4, load, 160))).busiest_link for load in (0.1, 0.4, 1.0)]
    assert loads == sorted(loads)
    assert loads[0] < 0.15


def test_many_to_one_is_limited_by_the_last_link() -> None:
    """All of a row's wavelets cross it: (P − 1) · n at 9/8 cycles each."""
    measured = measure(workload("many_to_one", WSE3, Traffic(2, 12, 1, 1.0, 160)))
    assert measured.cycles >= 11 * 160 * 9 / 8
    assert measured.busiest_link > 0.85
    assert measured.limit.startswith("link west of PE (1, ")
    assert measured.delivered == 2 * sum(160 * (11 - x) for x in range(11))


def test_a_neighbour_shift_takes_as_long_as_one_stream_over_one_hop() -> None:
    n = 30
    measured = measure(workload("neighbour_shift", WSE3, Traffic(4, 9, 2, 1.0, n)))
    assert (
        measured.cycles
        == WSE3.stream_setup + -(-9 * n // 8) + 2 * WSE3.ramp_cycles + WSE3.hop_cycles + WSE3.receive_cycles
    )
    assert measured.delivered == measured.hops == 4 * 8 * n


def test_transpose_brings_every_row_to_its_column() -> None:
    side, n = 8, 10
    measured = measure(workload("transpose", WSE3, Traffic(side, side, 2, 1.0, n)))
    # rows but the first and the last turn on the diagonal, where they are taken and sent on
    assert measured.delivered == n * (side + side - 2)
    assert measured.hops == n * side * (side - 1)


@pytest.mark.parametrize(
    ("name", "traffic", "line"),
    [
        ("stream", SMALL, "unknown workload 'stream'; what works: streams, "),
        ("streams", Traffic(2000, 9), "a mesh of 2000×9 PEs is larger than wse3 with 1170×755"),
        ("streams", Traffic(3, 9), "at least 6×6 work"),
        ("streams", Traffic(9, 9, 25), "1 to 24 colors"),
        ("streams", Traffic(9, 9, 4, 0.0), "a load above 0 to 1"),
    ],
)
def test_what_cannot_be_is_one_line(name: str, traffic: Traffic, line: str) -> None:
    with pytest.raises(WseError, match=line.replace("(", r"\(")):
        workload(name, WSE3, traffic)


def test_the_whole_wafer_with_all_colors_is_built_quickly_and_correctly() -> None:
    program = workload("streams", WSE3, Traffic(WSE3.rows, WSE3.columns, 21, 1.0, 10))
    assert len(program.colors) == 21
    assert all(np.count_nonzero(color.used) > 400_000 for color in program.colors)

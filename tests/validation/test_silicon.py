"""The timing model against published measurements of real wafers: the errors that the project promises."""

from collections import defaultdict
from functools import cache

import numpy as np
import pytest

from wse_emu.hardware.wafer import load_wafer
from wse_emu.kernels.waferllm import LayerShape, prefill_gemms
from wse_emu.validation import Case, ValidationSet, programs, read_rows, shipped_files, validate

LLAMA = LayerShape(4096, 1024, 14336)


@cache
def sets() -> dict[str, ValidationSet]:
    found, _ = validate(row for path in shipped_files() for row in read_rows(path))
    return {one.name: one for one in found}


@pytest.mark.parametrize(
    ("name", "median", "worst"),
    [
        ("wse3_meshgemv", 0.01, 0.06),
        ("wse3_meshgemm", 0.03, 0.10),
        ("wse3_shift", 0.05, 0.15),
        ("wse2_decode", 0.10, 0.10),
        ("wse2_prefill", 0.15, 0.15),
        ("wse2_kv_capacity", 0.01, 0.01),
        ("wse2_end_to_end", 0.10, 0.15),
    ],
)
def test_errors_are_within_what_is_promised(name: str, median: float, worst: float) -> None:
    errors = [abs(case.predicted / case.measured - 1) for case in sets()[name].cases]
    assert float(np.median(errors)) <= median
    assert max(errors) <= worst
    figures = sets()[name].figures()
    assert figures["median_abs_error"] == pytest.approx(float(np.median(errors)))
    assert figures["max_abs_error"] == pytest.approx(max(errors))
    assert figures["median_abs_error"] <= figures["p95_abs_error"] <= figures["max_abs_error"]


def test_errors_are_those_that_the_wafers_files_record() -> None:
    """So that a change that moves them has to say so; `benchmarks/calibrate.py` prints the lines."""
    for name, one in sets().items():
        recorded = load_wafer(one.wafer).calibration[name]
        assert list(one.figures().values()) == pytest.approx(list(recorded), abs=6e-5), name


def test_choosing_the_groups_by_the_model_is_right_or_costs_two_percent() -> None:
    """Over all shapes with several `group_num`."""
    by_shape: dict[tuple[int, ...], list[Case]] = defaultdict(list)
    for case in sets()["wse3_meshgemv"].cases:
        by_shape[case.values["P"], case.values["tile_m"], case.values["tile_n"]].append(case)
    compared = [cases for cases in by_shape.values() if len(cases) > 1]
    assert len(compared) == 59, "as many shapes as the file has with several group_num"
    for cases in compared:
        chosen = min(cases, key=lambda case: case.predicted)
        best = min(case.measured for case in cases)
        assert chosen.measured <= 1.02 * best, chosen


@pytest.mark.parametrize("edge", [80, 208])
def test_the_constants_do_not_stand_on_one_grid(edge: int) -> None:
    """Below the first seam a round is a constant and a line in P: two other sizes predict this one."""

    def constant(case: Case) -> float:
        groups = float(case.values["group_num"])
        size = float(case.values["P"]) / groups
        return case.measured - 10 * (size / 2 + groups / 2) - 2 * (groups * size + size)

    ones = [c for c in sets()["wse3_meshgemv"].cases if (c.values["tile_m"], c.values["tile_n"]) == (1, 1)]
    others = [constant(c) for c in ones if c.values["P"] in {80, 208} - {edge}]
    assert np.ptp(others) <= 2.1
    for case in (c for c in ones if c.values["P"] == edge):
        assert constant(case) == pytest.approx(np.mean(others), abs=2.1)


def test_the_capacity_of_the_kv_cache_by_hand() -> None:
    """850,000 cores hold 6 regions of 360² PEs, with 6 of the 32 layers each. 4096 / 360 → 12, 1024 → 3, 14336 → 40."""
    weights = 2 * (12 * 12 + 12 * 3 + 12 * 3 + 12 * 12 + 3 * 12 * 40)
    row = (49152 - 6 * weights) // (6 * 2 * 3 * 2)
    assert row == 382
    spec = load_wafer("wse2")
    assert programs.kv_capacity(spec, 360, LLAMA, 32, shifted=False) == 382
    assert programs.kv_capacity(spec, 360, LLAMA, 32, shifted=True) == 382 * 360 == 137_520


def test_the_tiles_of_a_prefill_by_hand() -> None:
    """480² PEs: 4096 / 480 → 9, 1024 → 3, 14336 → 30."""
    tiles = prefill_gemms(480, LLAMA, 4096)
    assert tiles["wq"] == tiles["wo"] == tiles["scores"] == tiles["mix"] == (9, 9, 9)
    assert tiles["wk"] == tiles["wv"] == (9, 9, 3)
    assert tiles["gate"] == tiles["up"] == (9, 9, 30)
    assert tiles["down"] == (9, 30, 9)


def test_kinds_of_sources_and_wafers_are_kept_apart() -> None:
    assert {one.wafer for name, one in sets().items() if name.startswith("wse3")} == {"wse3"}
    assert {one.wafer for name, one in sets().items() if name.startswith("wse2")} == {"wse2"}
    assert {case.values["class"] for case in sets()["wse3_shift"].cases} == {"silicon"}
    assert {case.values["class"] for case in sets()["wse3_shift_older"].cases} == {"unlabelled_older_run"}

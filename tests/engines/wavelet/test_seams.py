"""Seams between dies: hops over them take longer, in the engines alike."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.streams import Case
from wse_emu.engines.assembly import assemble, assemble_body
from wse_emu.engines.fabric_kernel import FabricKernel
from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.engines.wavelet import Machine
from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.kernels.collectives import collective
from wse_emu.program import Call, Layout, Program, Transfer, Value

WSE3 = load_wafer("wse3")
PLACES = st.sets(st.integers(1, 11), max_size=3).map(lambda places: tuple(sorted(places)))


def specs() -> st.SearchStrategy[WaferSpec]:
    return st.builds(
        lambda name, cycles, rows, columns: replace(
            load_wafer(name), seam_cycles=cycles, row_seams=rows, column_seams=columns
        ),
        st.sampled_from(("wse2", "wse3")),
        st.sampled_from((3, 17)),
        PLACES,
        PLACES,
    )


def cases(most: int) -> st.SearchStrategy[Case]:
    """Collectives whose streams do not meet on links."""
    return st.builds(
        Case,
        kind=st.sampled_from(("reduce", "all_reduce", "broadcast", "shift")),
        algorithm=st.sampled_from(("chain", "two_way")),
        axis=st.sampled_from(("x", "y")),
        rows=st.integers(2, 12),
        cols=st.integers(2, 12),
        elements=st.integers(1, most),
        place=st.just(1),
    )


def both(case: Case, spec: WaferSpec, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clocks by the wavelet and the timing engine."""
    body = case.body()
    found = Machine(assemble_body(body, spec), start).run()
    expected = BodyClock(spec, body, start, 1)
    expected.run()
    np.testing.assert_array_equal(found.links, expected.links)
    return found.clock, expected.clock + expected.offset


@settings(max_examples=80, deadline=None)
@given(case=cases(6), spec=specs())
def test_streams_that_queues_hold_take_the_same_cycles(case: Case, spec: WaferSpec) -> None:
    found, expected = both(case, spec, np.zeros((case.rows, case.cols), dtype=np.int64))
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(case=cases(40), spec=specs(), seed=st.integers(0, 2**32 - 1))
def test_long_streams_to_late_pes_are_never_predicted_too_early(case: Case, spec: WaferSpec, seed: int) -> None:
    """Beside a seam, queues hold what is under way over it, which the model leaves out."""
    start = np.random.default_rng(seed).integers(0, 100, (case.rows, case.cols))
    found, expected = both(case, spec, start)
    assert (found <= expected).all()


def test_a_wavelet_over_two_seams_and_back() -> None:
    """wse3: set-up 11, G(1) = 2, ramps 2 + 2, four hops of 2, two seams of 17, and 1 to store it; the same back."""
    k = FabricKernel(5, 1, wafer=replace(WSE3, row_seams=(1, 4)))
    there, back, word = k.color("there"), k.color("back"), k.array("x", 1)
    for row in range(5):
        k[row, 0].route(there, "RAMP" if row == 0 else "N", "RAMP" if row == 4 else "S")
        k[row, 0].route(back, "RAMP" if row == 4 else "S", "RAMP" if row == 0 else "N")
    with k[0, 0].code() as pe:
        pe.send(there, word)
        pe.recv(back, word)
    with k[4, 0].code() as pe:
        pe.recv(there, word)
        pe.send(back, word)
    way = 11 + 2 + 2 + 4 * 2 + 2 * 17 + 2 + 1
    assert k.run().clock[[0, 4], 0].tolist() == [2 * way, way + 11 + 2]


def test_a_color_from_two_sides_beside_a_seam_is_refused() -> None:
    k = FabricKernel(3, 1, wafer=replace(WSE3, row_seams=(1,)))
    color = k.color("both")
    k[0, 0].route(color, "RAMP", "S")
    k[1, 0].route(color, "N S", "RAMP")
    k[2, 0].route(color, "RAMP", "N")
    k[0, 0].code().send(color, k.array("x", 1))
    with pytest.raises(WseError, match=r"both: PE \(0, 1\) takes it over a seam between dies and from another side"):
        k.run()


@pytest.mark.parametrize("y", [0, 3, 6])
def test_a_region_has_the_seams_of_its_place(y: int) -> None:
    spec = replace(load_wafer("wse2"), seam_cycles=5, row_seams=(4,))
    body = collective("broadcast", "chain", 6, 1, 2)
    program = Program("one", (Call(body, Region(0, y, 1, 6), ("x",), ("y",)),))
    crossing = 5 if y < 4 < y + 6 else 0
    assert TimingEngine(program, spec).token(0).cycles == 2 + 6 + 4 + crossing
    assert Machine(assemble(program, spec, 1)).run().cycles == 2 + 6 + 4 + crossing


def test_a_move_crosses_the_seams_between_its_regions() -> None:
    spec = replace(load_wafer("wse2"), seam_cycles=5, row_seams=(4,), column_seams=(6,))
    value = Value("x", (2,), Layout(("y",)), 2, 2, "float32", "input")
    source, target = Region(0, 0, 2, 2), Region(5, 6, 2, 2)
    body = collective("broadcast", "chain", 2, 2, 1)
    calls = [Call(body, region, ("a",), ("b",)) for region in (source, target)]
    program = Program("two", (calls[0], Transfer("x", value, source, target), calls[1]))
    plain = replace(spec, seam_cycles=0)
    later = TimingEngine(program, spec).token(0).cycles - TimingEngine(program, plain).token(0).cycles
    assert later == 10
    exact = [Machine(assemble(program, one, 1)).run().cycles for one in (spec, plain)]
    assert exact[0] - exact[1] == 10

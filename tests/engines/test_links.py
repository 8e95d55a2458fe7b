import numpy as np
import pytest
from hypothesis import given, settings

from tests.engines import published
from tests.engines.streams import EAST, NORTH, SOUTH, WEST, Case, cases, routes
from wse_emu.engines.timing import BodyClock
from wse_emu.hardware.wafer import load_wafer
from wse_emu.kernels.collectives import collective
from wse_emu.program import Body


def links(body: Body) -> np.ndarray:
    clock = BodyClock(load_wafer("wse3"), body, np.zeros((body.rows, body.cols), dtype=np.int64), 1)
    clock.run()
    return clock.links


@settings(max_examples=300, deadline=None)
@given(case=cases())
def test_wavelets_on_every_link_are_those_of_the_routes(case: Case) -> None:
    np.testing.assert_array_equal(links(case.body()), routes(case))


@pytest.mark.parametrize("algorithm", published.ALGORITHMS)
@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("kind", ["reduce", "all_reduce", "broadcast"])
def test_the_collectives_of_the_kernels_have_the_links_of_the_routes(kind: str, axis: str, algorithm: str) -> None:
    case = Case(kind, algorithm, "x" if axis == "x" else "y", 23, 17, 5)
    body = collective(kind, algorithm, 23, 17, 5, axis=case.axis)
    np.testing.assert_array_equal(links(body), routes(case))


@pytest.mark.parametrize(("kind", "hops"), [("reduce", 8), ("broadcast", 8), ("all_reduce", 16)])
def test_a_chain_covers_its_line_once_and_a_broadcast_once_more(kind: str, hops: int) -> None:
    assert links(collective(kind, "chain", 9, 4, 5, axis="y")).sum() == hops * 4 * 5


def test_streams_along_one_axis_leave_the_links_of_the_other_alone() -> None:
    along_y, along_x = (links(collective("all_reduce", "ktree:3", 8, 9, 3, axis=axis)) for axis in ("y", "x"))
    assert not along_y[[EAST, WEST]].any()
    assert not along_x[[NORTH, SOUTH]].any()
    assert along_y[[NORTH, SOUTH]].any()
    assert along_x[[EAST, WEST]].any()


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_no_wavelet_leaves_the_region(case: Case) -> None:
    found = links(case.body())
    assert not found[EAST, :, -1].any()
    assert not found[WEST, :, 0].any()
    assert not found[NORTH, 0].any()
    assert not found[SOUTH, -1].any()

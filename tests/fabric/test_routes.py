"""Routes are checked before a run, and get colors as long as there are enough."""

import numpy as np
import pytest

from wse_emu.errors import WseError
from wse_emu.fabric import Defects, Mesh, Region
from wse_emu.fabric.routes import PORTS, RAMP, Route, allocate_colors, check_route, port_names
from wse_emu.hardware import load_wafer

E, W, N, S = (PORTS[name] for name in "EWNS")


def route(inputs: list[list[int]], outputs: list[list[int]], name: str = "r", x: int = 0, y: int = 0) -> Route:
    region = Region(x, y, len(inputs[0]), len(inputs))
    return Route(name, "gemv", region, np.array(inputs, dtype=np.uint8), np.array(outputs, dtype=np.uint8))


def eastward(name: str = "r", x: int = 0, y: int = 0) -> Route:
    """From PE (x, y) two hops to the east."""
    return route([[RAMP, W, W]], [[E, E, RAMP]], name, x, y)


def test_a_straight_stream_is_fine() -> None:
    check_route(eastward(), Mesh(3, 1))
    check_route(route([[RAMP], [N], [N]], [[S], [S | RAMP], [RAMP]]), Mesh(1, 3))
    check_route(eastward(x=4, y=5), Mesh(7, 6))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            route([[RAMP, W | RAMP, W]], [[E, E, RAMP]]),
            r"at PE \(1, 0\) takes two inputs at once.* [(]in W\+RAMP, out E",
        ),
        (route([[RAMP, W, W]], [[E, E, RAMP | E]]), r"at PE \(2, 0\) leaves the mesh to the east"),
        (route([[RAMP, W, W]], [[E | N, E, RAMP]]), r"at PE \(0, 0\) leaves the mesh to the north"),
        (
            route([[RAMP, W, 0]], [[E, E, 0]]),
            r"at PE \(1, 0\) sends to the east, where the next router does not take it",
        ),
        (route([[RAMP, 0, W]], [[E, 0, RAMP]]), r"at PE \(0, 0\) sends to the east"),
        (route([[0, W, W]], [[0, E, RAMP]]), r"at PE \(1, 0\) waits for wavelets from the west that nobody sends"),
    ],
)
def test_what_cannot_work_is_named_with_its_pe(wrong: Route, message: str) -> None:
    with pytest.raises(WseError, match=f"route r of kernel gemv: {message}"):
        check_route(wrong, Mesh(3, 1))


def test_a_route_that_ends_inside_the_mesh_does_not_leave_it() -> None:
    with pytest.raises(WseError, match=r"at PE \(2, 0\) sends to the east, where the next router does not take it"):
        check_route(route([[RAMP, W, W]], [[E, E, RAMP | E]]), Mesh(4, 1))


def test_dead_pes_and_links_are_found() -> None:
    with pytest.raises(WseError, match=r"at PE \(1, 0\) crosses a dead PE"):
        check_route(eastward(), Mesh(3, 1, defects=Defects.of([(1, 0)])))
    with pytest.raises(WseError, match=r"at PE \(1, 0\) crosses a dead link to the east"):
        check_route(eastward(), Mesh(3, 1, defects=Defects.of(links=[((1, 0), (2, 0))])))
    check_route(eastward(), Mesh(3, 2, defects=Defects.of([(1, 1)], [((0, 1), (0, 0))])))


def test_routes_that_never_meet_share_a_color() -> None:
    spec = load_wafer("mini")
    assert set(allocate_colors([eastward("a"), eastward("b", x=3), eastward("c", y=1)], spec).values()) == {0}


def test_routes_that_are_the_same_where_they_meet_share_a_color() -> None:
    assert eastward().meets(eastward("again")) is None


def test_routes_that_clash_get_different_colors() -> None:
    first, second = eastward("a"), eastward("b", x=1)
    assert first.meets(second) == (1, 0)
    colors = allocate_colors([first, second], load_wafer("mini"))
    assert sorted(colors.values()) == [0, 1]


def test_too_many_clashing_routes_are_named() -> None:
    spec = load_wafer("mini")
    ways = [(into, out) for into in (RAMP, E, W, N, S) for out in range(1, 32) if out != into][: spec.colors - 2]
    routes = [route([[into]], [[out]], f"r{i}") for i, (into, out) in enumerate(ways)]
    with pytest.raises(
        WseError, match=r"more than the 21 colors .*22 routes clash with each other, such as r0.* at PE \(0, 0\)"
    ):
        allocate_colors(routes, spec)
    assert len(set(allocate_colors(routes[:21], spec).values())) == 21


def test_no_routes_need_no_colors() -> None:
    assert allocate_colors([], load_wafer("mini")) == {}


def test_port_names() -> None:
    assert port_names(E | RAMP) == "E+RAMP"
    assert port_names(0) == "none"

"""Moves between regions: their routes, walked port by port, and what the `wavelet` engine makes of them."""

from dataclasses import replace

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from wse_emu.engines.assembly import assemble
from wse_emu.engines.moves import move_plan, move_routes
from wse_emu.engines.semantics import due
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.engines.wavelet import Machine
from wse_emu.fabric import Mesh, Region
from wse_emu.fabric.directions import DIRECTIONS
from wse_emu.fabric.routes import RAMP, Route, check_route, port
from wse_emu.hardware.wafer import load_wafer
from wse_emu.program import Body, Builder, Call, Layout, Program, Transfer

SPEC = replace(load_wafer("wse3"), columns=40, rows=30)
Place = tuple[int, int]
"""(x, y) on the mesh."""
Link = tuple[int, int, int]
"""(direction, x, y)."""
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


def idle(rows: int, cols: int, words: int) -> Body:
    b = Builder("idle", rows, cols)
    return b.build(b.input("x", (rows * words,), Layout(("y",))))


@st.composite
def moves(draw: st.DrawFn) -> Transfer:
    """To a region that lies beside, above, below or across a corner of the source; beside it, shifted by some rows."""
    rows, words = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    widths = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    (right, down), gap = draw(st.sampled_from(SIDES)), draw(st.integers(0, 4))
    x = draw(st.integers(-5, 5)) if right == 0 else widths[0] + gap if right > 0 else -widths[1] - gap
    y = draw(st.integers(-2, 2)) if down == 0 else down * (rows + gap)
    left, top = draw(st.integers(max(0, -x), 12)), draw(st.integers(max(0, -y), 10))
    source, target = Region(left, top, widths[0], rows), Region(left + x, top + y, widths[1], rows)
    return Transfer("x", idle(rows, widths[1], words).inputs[0], source, target)


def ports_at(route: Route, place: Place) -> tuple[int, int]:
    """Inputs and outputs of the router at ``place``; nothing beyond the route's region."""
    if not route.region.contains(place):
        return 0, 0
    x, y = place[0] - route.region.x, place[1] - route.region.y
    return int(route.inputs[y, x]), int(route.outputs[y, x])


def walk(route: Route, start: Place) -> tuple[list[Place], list[Link]]:
    """Where what enters by the ramp at ``start`` comes out, and the links that it crosses."""
    arrived: list[Place] = []
    crossed: list[Link] = []
    waiting = [(start, RAMP)]
    while waiting:
        (x, y), entered = waiting.pop()
        inputs, outputs = ports_at(route, (x, y))
        assert inputs == entered, "a router takes what comes, and nothing else"
        arrived += [(x, y)] * bool(outputs & RAMP)
        for way in DIRECTIONS:
            if outputs & port(way):
                assert (way, x, y) not in crossed
                crossed.append((way, x, y))
                waiting.append(((x + way.step[0], y + way.step[1]), port(way.opposite)))
    return arrived, crossed


@settings(max_examples=100, deadline=None)
@given(move=moves())
def test_every_row_reaches_its_row_of_the_target_and_nothing_else(move: Transfer) -> None:
    routes, plan = move_routes(move), move_plan(move.source, move.target)
    used: list[list[Link]] = [[] for _ in routes]
    for row, (column, channel) in enumerate(zip(plan.columns.tolist(), plan.channels.tolist(), strict=True)):
        arrived, crossed = walk(routes[channel], (column, move.source.y + row))
        y = move.target.y + row
        assert sorted(arrived) == [(x, y) for x in range(move.target.x, move.target.right)]
        used[channel] += crossed
    for route, links in zip(routes, used, strict=True):
        check_route(route, Mesh.from_spec(SPEC))
        assert len(links) == len(set(links)), "no two rows share a link of one channel"
        assert len(links) == np.bitwise_count(route.outputs & ~np.uint8(RAMP)).sum(), "no port is left over"


@settings(max_examples=40, deadline=None)
@given(move=moves())
def test_the_engine_counts_the_links_and_cycles_that_timing_does(move: Transfer) -> None:
    words = move.value.wavelets
    calls = [Call(idle(r.height, r.width, words), r, ("x",), ("x",)) for r in (move.source, move.target)]
    program = Program("move", (calls[0], move, calls[1]))
    made = assemble(program, SPEC, 1)
    found, timing = Machine(made).run(), TimingEngine(program, SPEC)
    token = timing.token(0)
    (x, y), links = made.corner, np.zeros((4, SPEC.rows, SPEC.columns), dtype=np.int64)
    links[:, y : y + made.rows, x : x + made.cols] = found.links
    np.testing.assert_array_equal(links, timing.links([token]))
    assert found.left_over == 0
    alone = move.source.width >= move.source.height or move.source.y == move.target.y
    event(f"rows have columns of their own: {alone}, crowded: {found.crowded > 0}")
    if alone:
        assert not found.crowded
        clocks = timing.clocks(token)[y : y + made.rows, x : x + made.cols]
        used = clocks >= 0
        np.testing.assert_array_equal(found.clock[used] - found.clock[used].min(), clocks[used])
    else:  # there, `timing` takes rows to follow each other, where they may be spread along their column
        follow = (-(-move.source.height // move.source.width) - 1) * words
        assert 0 <= token.cycles - found.cycles <= due(follow, SPEC.link_interval)

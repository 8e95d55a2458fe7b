"""Moves around dead PEs and dead links: ways as short as networkx finds, and the cycles of the `wavelet` engine."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.engines.test_moves import SPEC, idle, moves, walk
from tests.fabric.strategies import plain
from wse_emu.engines.assembly import assemble
from wse_emu.engines.moves import Ways, move_plan, move_routes
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.engines.wavelet import Machine
from wse_emu.errors import WseError
from wse_emu.fabric import Defects, Mesh, Region
from wse_emu.fabric.routes import check_route
from wse_emu.program import Call, Program, Transfer

Case = tuple[Transfer, Defects]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A move, and dead PEs and links in, between and beside its regions, but for those that make a region unusable."""
    move = draw(moves())
    regions, whole = (move.source, move.target), Mesh.from_spec(SPEC)
    x = st.integers(min(r.x for r in regions) - 1, max(r.right for r in regions))
    y = st.integers(min(r.y for r in regions) - 1, max(r.bottom for r in regions))
    places = [pe for pe in draw(st.lists(st.tuples(x, y), min_size=4, max_size=24, unique=True)) if pe in whole]
    pes = [pe for pe in places if not any(region.contains(pe) for region in regions)]
    links = [(pe, whole.neighbours(pe)[draw(st.integers(0, 1))][1]) for pe in places]
    links = [(a, b) for a, b in links if not any(r.contains(a) and r.contains(b) for r in regions)]
    return move, Defects.of(pes[: draw(st.integers(0, 24))], links)


def program_of(move: Transfer, defects: Defects) -> Program:
    """The move between two regions that do nothing else."""
    source, target = (
        Call(idle(r.height, r.width, move.value.wavelets), r, ("x",), ("x",)) for r in (move.source, move.target)
    )
    return Program("move", (source, move, target), defects)


def is_free(graph: nx.Graph, corners: list[tuple[int, int]]) -> bool:
    """Whether all links between the corners are edges of ``graph``."""
    for (ax, ay), (bx, by) in pairwise(corners):
        steps = max(abs(bx - ax), abs(by - ay))
        dx, dy = int(np.sign(bx - ax)), int(np.sign(by - ay))
        cells = [(ax + i * dx, ay + i * dy) for i in range(steps + 1)]
        if not all(graph.has_edge(a, b) for a, b in pairwise(cells)):
            return False
    return True


def has_ways(graph: nx.Graph, straight: Ways, source: Region, target: Region) -> bool:
    """Whether every row can leave its column and reach all of its target's row, which is free of defects itself."""
    starts = [(int(straight.columns[row]), source.y + row) for row in range(source.height)]
    return all(nx.has_path(graph, start, (target.x, target.y + row)) for row, start in enumerate(starts))


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_rows_go_as_an_l_or_reach_their_farthest_pe_over_the_fewest_links(case: Case) -> None:
    (source, target), mesh = (case[0].source, case[0].target), Mesh.from_spec(SPEC, defects=case[1])
    graph, straight = plain(mesh), move_plan(source, target)
    if not has_ways(graph, straight, source, target):
        with pytest.raises(WseError, match="the defects leave row"):
            move_plan(source, target, mesh)
        return
    plan, routes = move_plan(source, target, mesh), move_routes(case[0], mesh)
    for route in routes:
        check_route(route, mesh)
    left, right, detours = target.x, target.right - 1, 0
    for row in range(source.height):
        start, y = (int(plan.columns[row]), source.y + row), target.y + row
        assert start[0] == straight.columns[row]
        arrived, crossed = walk(routes[plan.channels[row]], start)
        assert sorted(arrived) == [(x, y) for x in range(left, right + 1)]
        assert len(crossed) == plan.hops[row] + right - left, "none is crossed twice"
        l_shape = [(int(x), int(y)) for x, y in straight.corners[row]]
        if is_free(graph, l_shape):
            assert plan.hops[row] == straight.hops[row]
            assert {tuple(corner) for corner in plan.corners[row].tolist()} == set(l_shape)
            continue
        detours += 1
        hops, entry = nx.single_source_shortest_path_length(graph, start), int(plan.entries[row])
        fewest = min(hops[x, y] + max(right - x, x - left) for x in range(left, right + 1) if (x, y) in hops)
        assert plan.hops[row] + max(right - entry, entry - left) == fewest
    event(f"rows on detours: {min(detours, 3)}")


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_the_engine_goes_around_defects_in_the_cycles_of_timing(case: Case) -> None:
    move, program = case[0], program_of(*case)
    made, timing = assemble(program, SPEC, 1), TimingEngine(program, SPEC)
    found, token = Machine(made).run(), timing.token(0)
    (x, y), links = made.corner, np.zeros((4, SPEC.rows, SPEC.columns), dtype=np.int64)
    links[:, y : y + made.rows, x : x + made.cols] = found.links
    np.testing.assert_array_equal(links, timing.links([token]))
    assert not links[Mesh.from_spec(SPEC, defects=case[1]).closed].any()
    columns_shared = move.source.width < move.source.height and move.source.y != move.target.y
    event(f"rows share a column: {columns_shared}, a link: {links.max() > move.value.wavelets}")
    if links.max() == move.value.wavelets and not columns_shared:
        clocks = timing.clocks(token)[y : y + made.rows, x : x + made.cols]
        used = clocks >= 0
        np.testing.assert_array_equal(found.clock[used] - found.clock[used].min(), clocks[used])


SOURCE, TARGET = Region(2, 5, 4, 1), Region(12, 5, 3, 1)


@pytest.mark.parametrize(
    ("defects", "more"),
    [
        (Defects.of([(8, 4)]), 0),
        (Defects.of([(8, 5)]), 2),
        (Defects.of(links=[((8, 5), (9, 5))]), 2),
        (Defects.of([(8, 4), (8, 5), (8, 6)]), 4),
        (Defects.of([(8, y) for y in range(7)]), 4),
        (Defects.of([(7, 5), (10, 5)]), 2),
        (Defects.of([(8, 5), (9, 4), (9, 6), (6, 4), (6, 6)], [((11, 5), (12, 5))]), 4),
        (Defects.of([(8, y) for y in range(30) if y != 25]), 40),
    ],
)
@pytest.mark.parametrize("engine", ["timing", "wavelet"])
def test_a_detour_costs_its_hops(defects: Defects, more: int, engine: str) -> None:
    move = Transfer("x", idle(1, TARGET.width, 7).inputs[0], SOURCE, TARGET)

    def cycles(defects: Defects) -> int:
        program = program_of(move, defects)
        if engine == "wavelet":
            return Machine(assemble(program, SPEC, 1)).run().cycles
        return TimingEngine(program, SPEC).token(0).cycles

    graph = plain(Mesh.from_spec(SPEC, defects=defects))
    assert nx.shortest_path_length(graph, (2, 5), (14, 5)) == 12 + more
    assert cycles(defects) - cycles(Defects()) == more * SPEC.hop_cycles


def test_without_a_way_the_row_and_both_regions_are_named() -> None:
    wall = Defects.of([(8, y) for y in range(SPEC.rows)])
    with pytest.raises(WseError, match=r"move from 4×1@\(2,5\) to 3×1@\(12,5\): the defects leave row 0 no way"):
        move_plan(SOURCE, TARGET, Mesh.from_spec(SPEC, defects=wall))

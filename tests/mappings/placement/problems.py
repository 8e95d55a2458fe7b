"""Random placement problems, and their costs by plain loops."""

from itertools import pairwise

import networkx as nx
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from wse_emu.fabric.region import Region
from wse_emu.mappings.placement import Block, Charges, Flow, Objective, Placement, PlacementProblem, Shape
from wse_emu.mappings.placement.batch import EAST, NORTH, SOUTH, WEST


@st.composite
def assignments(draw: st.DrawFn, most: int = 5) -> PlacementProblem:
    """Blocks of one PE on a small mesh with dead PEs, unicast and multicast flows."""
    columns, rows = draw(st.integers(1, most)), draw(st.integers(1, most))
    cells = [(x, y) for y in range(rows) for x in range(columns)]
    dead = draw(st.sets(st.sampled_from(cells), max_size=max(0, len(cells) // 3)))
    count = draw(st.integers(1, len(cells) - len(dead)))
    ends = st.integers(0, count - 1)
    flows = st.lists(
        st.builds(Flow, ends, st.lists(ends, min_size=1, max_size=3).map(tuple), st.integers(0, 50).map(float)),
        max_size=30,
    )
    numbers = st.integers(0, 9)
    blocks = tuple(Block(f"b{i}", (Shape(1, 1, float(draw(numbers)), draw(numbers)),)) for i in range(count))
    weights = st.sampled_from((0.0, 3.0))
    objective = Objective(draw(st.sampled_from((1.0, 2.5))), *(draw(weights) for _ in range(4)))
    charges = Charges(float(draw(st.integers(1, 3))), draw(st.sampled_from((1.0, 1.125))), float(draw(numbers)))
    return PlacementProblem(
        "random", blocks, tuple(draw(flows)), columns, rows, frozenset(dead), (), objective, charges
    )


@st.composite
def rectangles(draw: st.DrawFn) -> PlacementProblem:
    """Blocks of a few sizes and shapes on a mesh with dead PEs."""
    columns, rows = draw(st.integers(6, 14)), draw(st.integers(6, 14))
    size = st.integers(1, 4)
    shapes = st.lists(st.builds(Shape, size, size, st.integers(0, 9).map(float)), min_size=1, max_size=3)
    kinds = draw(st.lists(shapes.map(tuple), min_size=1, max_size=2))
    blocks = tuple(Block(f"b{i}", draw(st.sampled_from(kinds))) for i in range(draw(st.integers(1, 5))))
    flows = tuple(Flow(i, (i + 1,), float(draw(size))) for i in range(len(blocks) - 1))
    cells = st.tuples(st.integers(0, columns - 1), st.integers(0, rows - 1))
    assume(sum(min(s.width * s.height for s in block.shapes) for block in blocks) <= columns * rows - 4)
    return PlacementProblem("random", blocks, flows, columns, rows, draw(st.frozensets(cells, max_size=4)))


def random_placements(problem: PlacementProblem, count: int, seed: int) -> list[Placement]:
    rng = np.random.default_rng(seed)
    free = np.flatnonzero(problem.free)
    return [Placement.of_cells(rng.permutation(free)[: len(problem.blocks)], problem.columns) for _ in range(count)]


Link = tuple[int, int, int]


def plain_cost(problem: PlacementProblem, placement: Placement) -> dict[str, float]:
    """Metrics by the definition, one flow, one link and one block at a time; flows of one lane."""
    regions, charges = placement.regions(problem), problem.charges
    shapes = [block.shapes[s] for block, s in zip(problem.blocks, placement.shape, strict=True)]
    loads = plain_links(problem, placement)
    found = {
        "hop_wavelets": sum(f.wavelets * _hops(regions, f.source, t) for f in problem.flows for t in f.targets),
        "slowest_cycles": max(shape.cycles for shape in shapes),
        "busiest_link": max(loads.values(), default=0.0),
        "cycles": plain_arrivals(problem, placement, None),
        "contended_cycles": plain_arrivals(problem, placement, loads),
        "colors": max(plain_meetings(problem, placement).values(), default=0),
        "sram_bytes": max(shape.bytes for shape in shapes),
    }
    found["interval_cycles"] = max(found["slowest_cycles"], charges.wavelet_cycles * found["busiest_link"])
    found["cost"] = sum(weight * found[name] for name, weight in vars(problem.objective).items())
    return found


def _hops(regions: list[Region], a: int, b: int) -> float:
    (ax, ay), (bx, by) = ((r.x + (r.width - 1) / 2, r.y + (r.height - 1) / 2) for r in (regions[a], regions[b]))
    return abs(ax - bx) + abs(ay - by)


def way(regions: list[Region], a: int, b: int) -> list[tuple[int, int]]:
    """PEs (x, y) from the centre of one to that of the other, first along y."""
    (x, y), (to_x, to_y) = ((r.x + (r.width - 1) // 2, r.y + (r.height - 1) // 2) for r in (regions[a], regions[b]))
    down, right = (1 if to_y > y else -1), (1 if to_x > x else -1)
    return [(x, at) for at in range(y, to_y, down)] + [(at, to_y) for at in range(x, to_x, right)] + [(to_x, to_y)]


def links_of(pes: list[tuple[int, int]]) -> set[Link]:
    """(way, y, x) of the links left on a way."""
    ways = {(1, 0): EAST, (-1, 0): WEST, (0, -1): NORTH, (0, 1): SOUTH}
    return {(ways[bx - ax, by - ay], ay, ax) for (ax, ay), (bx, by) in pairwise(pes)}


def plain_links(problem: PlacementProblem, placement: Placement) -> dict[Link, float]:
    """Wavelets on every link that carries any."""
    regions, loads = placement.regions(problem), dict[Link, float]()
    for flow in problem.flows:
        for link in set().union(*(links_of(way(regions, flow.source, target)) for target in flow.targets)):
            loads[link] = loads.get(link, 0.0) + flow.wavelets
    return loads


def plain_meetings(problem: PlacementProblem, placement: Placement) -> dict[tuple[int, int], int]:
    """Flows at every PE."""
    regions, found = placement.regions(problem), dict[tuple[int, int], int]()
    for flow in problem.flows:
        for pe in set().union(*(way(regions, flow.source, target) for target in flow.targets)):
            found[pe] = found.get(pe, 0) + 1
    return found


def plain_arrivals(problem: PlacementProblem, placement: Placement, loads: dict[Link, float] | None) -> float:
    """The longest way through blocks and flows, by recursion."""
    regions, charges = placement.regions(problem), problem.charges
    shapes = [block.shapes[s] for block, s in zip(problem.blocks, placement.shape, strict=True)]
    graph = nx.DiGraph([(f.source, t) for f in problem.flows for t in f.targets])

    def back(a: int, b: int) -> bool:
        return b <= a and nx.has_path(graph, b, a)

    def late(flow: Flow, target: int) -> float:
        hops = _hops(regions, flow.source, target)
        on_way = links_of(way(regions, flow.source, target))
        waits = flow.wavelets if loads is None else max((loads[link] for link in on_way), default=0.0)
        return charges.flow_cycles + charges.hop_cycles * hops + charges.wavelet_cycles * waits

    def done(block: int) -> float:
        arrivals = [
            done(f.source) + late(f, block) for f in problem.flows if block in f.targets and not back(f.source, block)
        ]
        return max(arrivals, default=0.0) + shapes[block].cycles

    ends = [done(f.source) + late(f, t) for f in problem.flows for t in f.targets if back(f.source, t)]
    return max([done(block) for block in range(len(shapes))] + ends)

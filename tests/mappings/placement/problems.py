"""Random placement problems, and their costs by plain loops."""

import numpy as np
from hypothesis import strategies as st

from wse_emu.mappings.placement import Block, Flow, Objective, Placement, PlacementProblem, Shape


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
    blocks = tuple(Block(f"b{i}", (Shape(1, 1, float(draw(st.integers(0, 9)))),)) for i in range(count))
    objective = Objective(draw(st.sampled_from((1.0, 2.5))), draw(st.sampled_from((0.0, 3.0))))
    return PlacementProblem("random", blocks, tuple(draw(flows)), columns, rows, frozenset(dead), (), objective)


def random_placements(problem: PlacementProblem, count: int, seed: int) -> list[Placement]:
    rng = np.random.default_rng(seed)
    free = np.flatnonzero(problem.free)
    return [Placement.of_cells(rng.permutation(free)[: len(problem.blocks)], problem.columns) for _ in range(count)]


def plain_cost(problem: PlacementProblem, placement: Placement) -> dict[str, float]:
    """Costs by the definition, one flow and one block at a time."""
    hops = 0.0
    regions = placement.regions(problem)
    centres = [(r.x + (r.width - 1) / 2, r.y + (r.height - 1) / 2) for r in regions]
    for flow in problem.flows:
        for target in flow.targets:
            (ax, ay), (bx, by) = centres[flow.source], centres[target]
            hops += flow.wavelets * (abs(ax - bx) + abs(ay - by))
    shapes = [block.shapes[s] for block, s in zip(problem.blocks, placement.shape, strict=True)]
    slowest = max(shape.cycles for shape in shapes)
    cost = problem.objective.hop_wavelets * hops + problem.objective.slowest_cycles * slowest
    return {"hop_wavelets": hops, "slowest_cycles": slowest, "cost": cost}

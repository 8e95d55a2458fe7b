"""An integer linear programme for small problems, solved by HiGHS through SciPy, with the bound that it proves.

Assignment of blocks to places, linearised as by Frieze and Yadegar (Discrete Applied Mathematics 5, 1983) for the pairs
that have a flow: z[i, p] = 1 where block i lies at p, and y[i, p, j, q] ≥ 0 is 1 where both z[i, p] and z[j, q] are:
Σ_q y[i, p, j, q] = z[i, p] and Σ_p y[i, p, j, q] = z[j, q].
"""

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array

from wse_emu.errors import WseError
from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.greedy import greedy_places
from wse_emu.mappings.placement.strategies.slots import Slots, find_slots

MOST_VARIABLES = 100_000
"""Beyond, HiGHS would not even solve the relaxation in minutes."""


@strategy("ilp")
def ilp(problem: PlacementProblem, search: Search) -> Placement:
    """The optimum of the hop-wavelets, or what HiGHS has found in the time; greedy's placement to begin with."""
    slots, evaluator = find_slots(problem, "ilp"), Evaluator(problem)
    flow = evaluator.matrix
    pairs = [(int(i), int(j)) for i, j in np.argwhere(np.triu(flow)) if i not in slots.fixed or j not in slots.fixed]
    places = len(slots.x)
    variables = len(flow) * places + len(pairs) * places**2
    if variables > MOST_VARIABLES:
        raise WseError(
            f"strategy ilp: {problem.name} needs {variables:,} variables; up to {MOST_VARIABLES:,} are solved: fewer "
            "blocks, flows or places, or robust_tabu, work"
        )
    chosen = greedy_places(slots, flow)
    search.found(slots.placed(chosen), _cost(flow, slots, chosen))
    still = sum(flow[a, b] * slots.distances[chosen[a], chosen[b]] for a in slots.fixed for b in slots.fixed) / 2
    solved = _solve(slots, flow, pairs, search.seconds)
    if solved.mip_dual_bound is not None and evaluator.weighs == {"hop_wavelets"}:
        search.bound = float(problem.objective.hop_wavelets * (solved.mip_dual_bound + still))
    if solved.x is not None:
        chosen = solved.x[: len(flow) * places].reshape(len(flow), places).argmax(axis=1)
        search.found(slots.placed(chosen), _cost(flow, slots, chosen))
    assert search.best is not None
    return search.best


def _cost(flow: np.ndarray, slots: Slots, chosen: np.ndarray) -> float:
    return float((flow * slots.distances[np.ix_(chosen, chosen)]).sum() / 2)


def _solve(slots: Slots, flow: np.ndarray, pairs: list[tuple[int, int]], seconds: float):  # type: ignore[no-untyped-def]  # noqa: ANN202
    """SciPy's result: variables are z, block by block, then the y of each pair."""
    blocks, places = len(flow), len(slots.x)
    weights = np.array([flow[i, j] for i, j in pairs])
    cost = np.concatenate([np.zeros(blocks * places), np.outer(weights, slots.distances.ravel()).ravel()])
    upper = np.ones(len(cost))
    allowed = np.zeros((blocks, places))
    allowed[np.ix_(slots.movable, slots.free)] = 1
    allowed[list(slots.fixed), np.arange(len(slots.fixed))] = 1
    upper[: allowed.size] = allowed.ravel()
    whole = np.zeros(len(cost))
    whole[: allowed.size] = 1
    constraints = [*_assignment(blocks, places, len(cost)), *_products(blocks, places, pairs, len(cost))]
    options = {"time_limit": seconds}
    return milp(cost, integrality=whole, bounds=Bounds(0, upper), constraints=constraints, options=options)


def _assignment(blocks: int, places: int, variables: int) -> list[LinearConstraint]:
    """Every block lies at one place, and at every place at most one block."""
    block, place = np.divmod(np.arange(blocks * places), places)
    here = np.arange(blocks * places)
    one = np.ones(len(here))
    each = csr_array(coo_array((one, (block, here)), shape=(blocks, variables)))
    shared = csr_array(coo_array((one, (place, here)), shape=(places, variables)))
    return [LinearConstraint(each, 1, 1), LinearConstraint(shared, 0, 1)]


def _products(blocks: int, places: int, pairs: list[tuple[int, int]], variables: int) -> list[LinearConstraint]:
    """What ties the y of each pair to the z of its blocks."""
    if not pairs:
        return []
    number, p, q = (part.ravel() for part in np.indices((len(pairs), places, places)))
    y = blocks * places + np.arange(len(number))
    rows = len(pairs) * places
    found = []
    for end, place in ((0, p), (1, q)):
        owner = np.array([pair[end] for pair in pairs])
        z = (owner[:, None] * places + np.arange(places)).ravel()
        entries = np.concatenate([np.ones(len(y)), -np.ones(rows)])
        where = np.concatenate([number * places + place, np.arange(rows)]), np.concatenate([y, z])
        found.append(LinearConstraint(csr_array(coo_array((entries, where), shape=(rows, variables))), 0, 0))
    return found

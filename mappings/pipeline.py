"""A region per layer: the hidden state walks from region to region, and every layer works on weights of its own."""

from wse_emu.mappings.layers import fitted_pipeline
from wse_emu.mappings.placement.models import layer_problem
from wse_emu.mappings.placement.search import find_strategy, run_strategy
from wse_emu.mappings.plan import Plan, Request
from wse_emu.program import memory


def pipeline(request: Request) -> Plan:
    """Equal regions for the layers and one for embedding and head, placed by the request's strategy."""
    find_strategy(request.placement)
    held = fitted_pipeline(request)
    problem = layer_problem(held)
    regions = run_strategy(problem, request.placement).placement.regions(problem)
    program = held.program(regions)
    names = {block.name: region for block, region in zip(problem.blocks, regions, strict=True)}
    return Plan("pipeline", request.placement, program, names, memory(program, request.spec))

"""A region per layer: the hidden state walks from region to region, and every layer works on weights of its own."""

from wse_emu.fabric.region import Region
from wse_emu.mappings.layers import fitted_pipeline
from wse_emu.mappings.placement.models import layer_problem
from wse_emu.mappings.placement.search import find_strategy, run_strategy
from wse_emu.mappings.plan import Plan, Request
from wse_emu.program import Program, memory


def pipeline(request: Request) -> Plan:
    """Equal regions for the layers and one for embedding and head, placed by the request's strategy."""
    find_strategy(request.placement)
    held = fitted_pipeline(request)
    problem = layer_problem(held)
    regions = run_strategy(problem, request.placement).placement.regions(problem)
    program = held.program(regions)
    blocks = {block.name: region for block, region in zip(problem.blocks, regions, strict=True)}
    return Plan("pipeline", request.placement, program, _named(program, blocks), memory(program, request.spec))


def _named(program: Program, blocks: dict[str, Region]) -> dict[str, Region]:
    """The regions by name: those of ``blocks``, or what lies in them where experts have regions of their own."""
    if not program.experts:
        return blocks
    names: dict[str, Region] = {}
    for region, call in {call.region: call for call in program.calls}.items():
        block = next(name for name, whole in blocks.items() if whole.overlaps(region))
        names[block if call.expert is None else f"{block}, expert {call.expert.number}"] = region
    return names

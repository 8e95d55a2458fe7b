"""All layers on one grid: every layer's weights are cut over the same region (as WaferLLM decodes, OSDI 2025)."""

from wse_emu.fabric.region import Region
from wse_emu.kernels.decoder import Shapes, angle_names, angles_body, embed_body, head_body, layer_body, layer_call
from wse_emu.mappings.plan import Plan, Request
from wse_emu.mappings.shapes import best_shape
from wse_emu.program import Call, Program, memory


def shared(request: Request) -> Plan:
    """One region for everything, of the shape with the fewest predicted cycles that fits the SRAM.

    It lies at the first place without defects, row by row.
    """

    def room(rows: int, cols: int) -> bool:
        return request.room.first(cols, rows) is not None

    rows, cols, inner = best_shape(request, _program, "all layers on one region", room)
    return _plan(request, rows, cols, inner)


def _plan(request: Request, rows: int, cols: int, inner: int) -> Plan:
    region = request.room.first(cols, rows)
    assert region is not None
    program = shared_program(request, region, inner)
    names = {f"embedding, layers 0-{request.config.layers - 1}, head": region}
    return Plan("shared", "one region", program, names, memory(program, request.spec))


def _program(request: Request, rows: int, cols: int, inner: int) -> Program:
    return shared_program(request, Region(0, 0, cols, rows), inner)


def shared_program(request: Request, region: Region, inner: int) -> Program:
    """Embedding, all layers and the head on ``region``, of whose columns ``inner`` share a key-value head."""
    config, rows, cols = request.config, region.height, region.width
    shapes, style = Shapes(config, cols, inner), request.style
    bodies = {kind: layer_body(shapes, style, rows, positions=request.positions, kind=kind) for kind in config.kinds}
    names = {kind: angle_names(config, kind) for kind in config.kinds}
    angles = {given: angles_body(shapes, style, rows, kind) for kind, given in names.items() if given}
    embed = embed_body(config, style, rows, cols)
    head = head_body(config, style, rows, cols, on_host=request.on_host)

    def layer(index: int) -> Call:
        kind = config.kind(index)
        return layer_call(bodies[kind], region, names[kind], index)

    return Program(
        "shared",
        (
            Call(embed, region, ("token",), ("hidden",)),
            *(Call(body, region, (), given) for given, body in angles.items()),
            *map(layer, range(config.layers)),
            Call(head, region, ("hidden",), ("logits", "token")),
        ),
        request.defects,
    )

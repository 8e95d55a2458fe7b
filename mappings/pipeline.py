"""A region per layer: the hidden state walks from region to region, and every layer works on weights of its own."""

from functools import cache

from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.kernels.decoder import Shapes, angles_body, embed_body, head_body, layer_body
from wse_emu.mappings.fit import too_large
from wse_emu.mappings.plan import Plan, Request
from wse_emu.mappings.shapes import best_shape, extents
from wse_emu.mappings.strategies import check_placement, place
from wse_emu.program import Body, Call, Program, Transfer, memory


def pipeline(request: Request) -> Plan:
    """Equal regions for the layers and one for embedding and head, all of equally many rows."""
    config, spec = request.config, request.spec
    ends = cache(lambda rows: _head_columns(request, rows))

    def placed(rows: int, cols: int) -> list[Region]:
        return place(request.placement, [ends(rows), *[cols] * config.layers], rows, spec.columns, spec.rows)

    def room(rows: int, cols: int) -> bool:
        try:
            return bool(placed(rows, cols))
        except WseError:
            return False

    check_placement(request.placement)
    rows, cols, inner = best_shape(request, _layers_alone, "a pipeline with a region per layer", room)
    regions = placed(rows, cols)
    program = _program(request, regions, inner)
    names = {"embedding and head": regions[0]} | {f"layer {i}": region for i, region in enumerate(regions[1:])}
    return Plan("pipeline", request.placement, program, names, memory(program, request.spec))


def _layers_alone(request: Request, rows: int, cols: int, inner: int) -> Program:
    """What the choice of a layer's shape looks at: one layer, times the number of layers; none if they don't fit."""
    shapes, region = Shapes(request.config, cols, inner), Region(0, 0, cols, rows)
    angles, layer = _layer_bodies(request, shapes, rows)
    return Program(
        "layer",
        (
            Call(angles, region, (), ("cos", "sin")),
            Call(layer, region, ("hidden", "cos", "sin"), ("hidden",), "layers.0."),
        ),
    )


def _layer_bodies(request: Request, shapes: Shapes, rows: int) -> tuple[Body, Body]:
    layer = layer_body(shapes, request.style, rows, positions=request.positions)
    return angles_body(shapes, request.style, rows), layer


def _head_columns(request: Request, rows: int) -> int:
    """The fewest columns on which embedding and head fit beside each other's tables."""
    config, spec = request.config, request.spec
    for cols in extents(config.vocabulary, spec.columns):
        program = _ends(request, Region(0, 0, cols, rows))
        if memory(Program("ends", program), spec).fits:
            return cols
    raise too_large(request, Program("ends", _ends(request, Region(0, 0, spec.columns, rows))), "embedding and head")


def _ends(request: Request, region: Region) -> tuple[Call, Call]:
    rows, cols = region.height, region.width
    embed = embed_body(request.config, request.style, rows, cols)
    head = head_body(request.config, request.style, rows, cols, on_host=request.on_host)
    return (
        Call(embed, region, ("token",), ("hidden",)),
        Call(head, region, ("hidden",), ("logits", "token")),
    )


def _program(request: Request, regions: list[Region], inner: int) -> Program:
    ends, layers = regions[0], regions[1:]
    embed, head = _ends(request, ends)
    shapes, rows = Shapes(request.config, layers[0].width, inner), ends.height
    angles, layer = _layer_bodies(request, shapes, rows)
    steps: list[Call | Transfer] = [embed]
    before = ends
    for i, region in enumerate(layers):
        steps += [
            Call(angles, region, (), ("cos", "sin")),
            Transfer("hidden", layer.inputs[0], before, region),
            Call(layer, region, ("hidden", "cos", "sin"), ("hidden",), f"layers.{i}."),
        ]
        before = region
    steps += [Transfer("hidden", layer.inputs[0], before, ends), head]
    return Program("pipeline", tuple(steps))

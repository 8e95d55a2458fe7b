"""Placement problems from JSON that somebody wrote: every key is checked, and what is wrong is named."""

from collections.abc import Mapping
from typing import Any

from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.mappings.placement.problem import Block, Charges, Flow, Objective, PlacementProblem, Shape
from wse_emu.models.fields import Fields

PE = tuple[int, int]
KEYS = {
    "version", "kind", "name", "blocks", "flows", "columns", "rows", "dead", "dead_links", "reserved", "objective",
    "charges", "sram_bytes",
}  # fmt: skip


def problem_of(plain: Mapping[str, Any], where: str) -> PlacementProblem:
    """The problem that a parsed JSON object is; WseError, naming the key, if it is none."""
    fields = _only(Fields(plain, where), KEYS)
    return PlacementProblem(
        fields.text("name"),
        tuple(_block(one) for one in _objects(fields, "blocks")),
        tuple(_flow(one) for one in _objects(fields, "flows")),
        fields.integer("columns"),
        fields.integer("rows"),
        frozenset(_pe(one, f"{where}, dead") for one in _list(fields, "dead")),
        tuple(_region(one) for one in _objects(fields, "reserved")),
        Objective(**_numbers(fields, "objective", vars(Objective()))),
        Charges(**_numbers(fields, "charges", vars(Charges()))),
        fields.integer("sram_bytes", 0),
        dead_links=frozenset(_link(one, f"{where}, dead_links") for one in _list(fields, "dead_links")),
    )


def _block(fields: Fields) -> Block:
    _only(fields, {"name", "shapes"})
    shapes = tuple(_shape(one) for one in _objects(fields, "shapes"))
    return Block(fields.text("name"), shapes) if fields.has("shapes") else Block(fields.text("name"))


def _shape(fields: Fields) -> Shape:
    _only(fields, {"width", "height", "cycles", "bytes"})
    size = fields.integer("width"), fields.integer("height")
    return Shape(*size, fields.number("cycles", 0.0), fields.integer("bytes", 0))


def _flow(fields: Fields) -> Flow:
    _only(fields, {"source", "targets", "wavelets", "lanes"})
    targets = _list(fields, "targets")
    if not all(type(target) is int for target in targets):
        raise WseError(f"{fields.source}: targets {str(targets)[:60]} must be numbers of blocks, from 0")
    return Flow(fields.integer("source"), tuple(targets), fields.number("wavelets"), fields.integer("lanes", 1))


def _region(fields: Fields) -> Region:
    _only(fields, {"x", "y", "width", "height"})
    return Region(*(fields.integer(key) for key in ("x", "y", "width", "height")))


def _numbers(fields: Fields, key: str, known: Mapping[str, float]) -> dict[str, float]:
    held = _only(fields.table(key), set(known))
    return {name: held.number(name) for name in held.values}


def _pe(one: Any, where: str) -> PE:
    if not (isinstance(one, list) and len(one) == 2 and all(type(place) is int for place in one)):
        raise WseError(f"{where}: {str(one)[:60]} is no PE; [column, row] works")
    return one[0], one[1]


def _link(one: Any, where: str) -> frozenset[PE]:
    if not (isinstance(one, list) and len(one) == 2):
        raise WseError(f"{where}: {str(one)[:60]} is no link; [[column, row], [column, row]] works")
    return frozenset(_pe(end, where) for end in one)


def _list(fields: Fields, key: str) -> list[Any]:
    value = fields.values.get(key, [])
    if not isinstance(value, list):
        raise WseError(f"{fields.source}: key {key!r} must be a list, got {repr(value)[:60]}")
    return value


def _objects(fields: Fields, key: str) -> list[Fields]:
    found = []
    for number, one in enumerate(_list(fields, key)):
        where = f"{fields.source}, {key.removesuffix('s')} {number}"
        if not isinstance(one, dict):
            raise WseError(f"{where}: must be an object, got {repr(one)[:60]}")
        found.append(Fields(one, where))
    return found


def _only(fields: Fields, known: set[str]) -> Fields:
    if strange := sorted(fields.values.keys() - known):
        raise WseError(f"{fields.source}: unknown key {strange[0]!r}; what works: {', '.join(sorted(known))}")
    return fields

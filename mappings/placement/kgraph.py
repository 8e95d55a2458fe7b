"""Kernels of a network on a wafer: the ISPD 2020 contest's ``.kgraph`` files (James et al., ISPD 2020).

Sizes are in tiles of the contest's fabric, one tile a PE here.
"""

import re
from dataclasses import dataclass

from wse_emu.errors import WseError
from wse_emu.mappings.placement.convs import Conv, convs_of, shapes_of
from wse_emu.mappings.placement.problem import Block, Flow, Objective, PlacementProblem


@dataclass(frozen=True)
class Kernel:
    """A kernel as the file names it, ``conv``, ``dblock`` or ``cblock``."""

    kind: str
    index: str
    name: str
    convs: tuple[Conv, ...]


def kgraph_problem(text: str, name: str, where: str = "kgraph") -> PlacementProblem:
    """The problem of a ``.kgraph`` file. Raises WseError, naming the line.

    Cost: wdeltat · time of the slowest kernel + wlength · Σ of the distances between the centres of connected kernels.
    Connections of the network's input and output do not count.
    """
    head, kernels, flows = read_header(text, where), read_kernels(text, where), _edges(text)
    place = {kernel.index: i for i, kernel in enumerate(kernels)}
    if unknown := [index for ends in flows for index in ends if index not in place]:
        raise WseError(f"{where}: a connection names kernel {unknown[0]}, which is not defined")
    size = (head["width"], head["height"])
    blocks = tuple(Block(one.name, shapes_of(one.convs, head["memlimit"], size)) for one in kernels)
    for block in blocks:
        if not block.shapes:
            raise WseError(f"{where}: kernel {block.name} fits the fabric of {size[0]}×{size[1]} in no shape")
    return PlacementProblem(
        name,
        blocks,
        tuple(Flow(place[a], (place[b],), 1.0) for a, b in flows),
        *size,
        objective=Objective(float(head["wlength"]), float(head["wdeltat"])),
    )


def read_header(text: str, where: str = "kgraph") -> dict[str, int]:
    """The numbers of the header; WseError if one is missing."""
    head = {key: int(value) for key, value in re.findall(r"^(\w+)=(\d+)\s*$", text, re.MULTILINE)}
    missing = {"width", "height", "wdeltat", "wlength", "memlimit"} - head.keys()
    if missing:
        raise WseError(f"{where}: the header has no {min(missing)}")
    return head


def read_kernels(text: str, where: str = "kgraph") -> list[Kernel]:
    """All kernels in the order of the file; WseError, naming the line, where a dimension is missing."""
    kernels: dict[str, Kernel] = {}
    for number, line in enumerate(text.splitlines(), 1):
        node = re.match(r"(conv|dblock|cblock)\[\s*(\d+)\]((?:\s+\w+=\d+)+)(?:\s+name='([^']*)')?", line)
        if node is None:
            continue
        kind, index, found, label = node.groups()
        values = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found)}
        try:
            kernels[index] = Kernel(kind, index, label or f"{kind}{index}", convs_of(kind, values))
        except KeyError as error:
            raise WseError(f"{where}, line {number}: {kind}[{index}] has no {error.args[0]}") from None
    return list(kernels.values())


def _edges(text: str) -> list[tuple[str, str]]:
    """Connections from kernel to kernel, by number."""
    kinds = {"conv", "dblock", "cblock"}
    edges = re.findall(r"^(\w+)\[\s*(\d+)\]\s*:\s*\w+\s*->\s*(\w+)\[\s*(\d+)\]", text, re.MULTILINE)
    return [(source, target) for kind, source, other, target in edges if {kind, other} <= kinds]

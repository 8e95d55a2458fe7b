"""Placements of kernels as text with their execution arguments, in the spirit of the ISPD 2020 contest's ``.paint``.

One line a kernel, in the order of the ``.kgraph`` file::

    dblock[ 5]: x y rotation h' w' c' k' [c' k' ...]

with the column and row of its top-left tile, the rotation in degrees (0, or 90: width and height changed round), h' and
w' of the kernel, and c' and k' of each convolution in it. The contest's own grammar could not be checked here: whoever
hands in such a file has to compare it with the contest's, and to adapt :func:`paint`, where alone the text is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from wse_emu.errors import WseError
from wse_emu.mappings.placement.convs import Conv
from wse_emu.mappings.placement.kgraph import read_header, read_kernels
from wse_emu.mappings.placement.placement import Placement, check_placement
from wse_emu.mappings.placement.problem import PlacementProblem


@dataclass(frozen=True)
class Arguments:
    """Execution arguments of a kernel: h' and w', and (c', k') of each convolution."""

    h: int
    w: int
    parts: tuple[tuple[int, int], ...]


def paint(problem: PlacementProblem, kgraph_text: str, placement: Placement) -> str:
    """The text of a placement; WseError if it is not legal, or not one of this file's kernels."""
    check_placement(problem, placement)
    kernels, memory = read_kernels(kgraph_text), read_header(kgraph_text)["memlimit"]
    if [kernel.name for kernel in kernels] != [block.name for block in problem.blocks]:
        raise WseError(f"paint: the kernels of the file are not the blocks of {problem.name}")
    lines = []
    for kernel, block, region, number in zip(
        kernels, problem.blocks, placement.regions(problem), placement.shape, strict=True
    ):
        time, turned = block.shapes[number].cycles, 0
        found = arguments_of(kernel.convs, region.width, region.height, time, memory)
        if found is None:
            found, turned = arguments_of(kernel.convs, region.height, region.width, time, memory), 90
        if found is None:
            raise WseError(f"paint: kernel {kernel.name} takes {region} and {time:g} cycles with no arguments")
        numbers = (region.x, region.y, turned, found.h, found.w, *(n for part in found.parts for n in part))
        lines.append(f"{kernel.kind}[{kernel.index:>2}]: {' '.join(map(str, numbers))}\n")
    return "".join(lines)


def arguments_of(convs: tuple[Conv, ...], width: int, height: int, time: float, memory: int) -> Arguments | None:
    """Arguments with which the kernel has exactly this size and time, upright, within ``memory``; None if none has."""
    for h, w in _ways(convs[0], height):
        parts = [_least_part(conv, h, w, (height, time, memory)) for conv in convs]
        fitting = tuple(part for part in parts if part is not None)
        if len(fitting) < len(convs) or 3 * sum(k for _, k in fitting) != width:
            continue
        highest = max(h * w * (c + 1) for c, _ in fitting)
        slowest = max(_time(conv, h, w, *part) for conv, part in zip(convs, fitting, strict=True))
        if (highest, slowest) == (height, time):
            return Arguments(h, w, fitting)
    return None


def _ways(conv: Conv, height: int) -> Iterator[tuple[int, int]]:
    """All (h', w') that leave room for c' = 1."""
    for h in range(1, min(conv.h, height // 2) + 1):
        for w in range(1, min(conv.w, height // (2 * h)) + 1):
            yield h, w


def _least_part(conv: Conv, h: int, w: int, within: tuple[int, float, int]) -> tuple[int, int] | None:
    """The greatest c' that fits the height, and with it the least k' ``within`` (height, time, memory)."""
    height, time, memory = within
    c = min(conv.c, height // (h * w) - 1)
    turns = int(time / _time(conv, h, w, c, conv.k))
    if not turns:
        return None
    least = max(ceil(conv.k / turns), int(_memory(conv, h, w, c, 1) / memory), 1)
    fitting = (k for k in range(least, conv.k + 1) if _memory(conv, h, w, c, k) <= memory)
    k = next(fitting, None)
    return None if k is None else (c, k)


def _time(conv: Conv, h: int, w: int, c: int, k: int) -> float:
    steps = ceil(conv.h / h) * ceil(conv.w / w) * ceil(conv.c / c) * ceil(conv.k / k)
    return steps * conv.r * conv.s / conv.t**2


def _memory(conv: Conv, h: int, w: int, c: int, k: int) -> float:
    tile = (conv.w + conv.s - 1) * (conv.h + conv.r - 1) / (h * w)
    return (conv.c / c * conv.r * conv.s + tile) * (conv.k / k)

"""Kernels of a network on a wafer: the ISPD 2020 contest's ``.kgraph`` files (James et al., ISPD 2020).

A kernel is a rectangle whose size follows from its execution arguments h' w' c' k': whole numbers from 1 to the
dimension that each divides up, rounded up. Sizes are in tiles of the contest's fabric, one tile a PE here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wse_emu.errors import WseError
from wse_emu.mappings.placement.problem import Block, Flow, Objective, PlacementProblem, Shape


@dataclass(frozen=True)
class Conv:
    """One convolution: output H × W, filter R × S, C inputs, K outputs, stride T."""

    h: int
    w: int
    r: int
    s: int
    c: int
    k: int
    t: int = 1


def convs_of(kind: str, values: dict[str, int]) -> tuple[Conv, ...]:
    """The convolutions side by side that a kernel is made of; they share h' and w'."""
    if kind == "conv":
        return (Conv(*(values[key] for key in "HWRSCKT")),)
    h, w, f = values["h"], values["w"], values["f"]
    quarter, half = f // 4, f // 2
    if kind == "dblock":
        return (Conv(h, w, 1, 1, f, quarter), Conv(h, w, 3, 3, quarter, quarter), Conv(h, w, 1, 1, quarter, f))
    return (
        Conv(h, w, 1, 1, half, quarter),
        Conv(h, w, 3, 3, quarter, quarter, 2),
        Conv(h // 2, w // 2, 1, 1, quarter, f),
        Conv(h, w, 1, 1, half, f, 2),
    )


def kgraph_problem(text: str, name: str, where: str = "kgraph") -> PlacementProblem:
    """The problem of a ``.kgraph`` file. Raises WseError, naming the line.

    Cost: wdeltat · time of the slowest kernel + wlength · Σ of the distances between the centres of connected kernels.
    Connections of the network's input and output do not count.
    """
    head = {key: int(value) for key, value in re.findall(r"^(\w+)=(\d+)\s*$", text, re.MULTILINE)}
    missing = {"width", "height", "wdeltat", "wlength", "memlimit"} - head.keys()
    if missing:
        raise WseError(f"{where}: the header has no {min(missing)}")
    kernels, flows = _nodes(text, where), _edges(text)
    place = {index: i for i, index in enumerate(kernels)}
    if unknown := [index for ends in flows for index in ends if index not in place]:
        raise WseError(f"{where}: a connection names kernel {unknown[0]}, which is not defined")
    size = (head["width"], head["height"])
    blocks = tuple(Block(label, _shapes(convs, head["memlimit"], size)) for label, convs in kernels.values())
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


def _nodes(text: str, where: str) -> dict[str, tuple[str, tuple[Conv, ...]]]:
    """By number: name and convolutions of every kernel."""
    kernels = {}
    for number, line in enumerate(text.splitlines(), 1):
        node = re.match(r"(conv|dblock|cblock)\[\s*(\d+)\]((?:\s+\w+=\d+)+)(?:\s+name='([^']*)')?", line)
        if node is None:
            continue
        kind, index, found, label = node.groups()
        values = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found)}
        try:
            kernels[index] = (label or f"{kind}{index}", convs_of(kind, values))
        except KeyError as error:
            raise WseError(f"{where}, line {number}: {kind}[{index}] has no {error.args[0]}") from None
    return kernels


def _edges(text: str) -> list[tuple[str, str]]:
    """Connections from kernel to kernel, by number."""
    kinds = {"conv", "dblock", "cblock"}
    edges = re.findall(r"^(\w+)\[\s*(\d+)\]\s*:\s*\w+\s*->\s*(\w+)\[\s*(\d+)\]", text, re.MULTILINE)
    return [(source, target) for kind, source, other, target in edges if {kind, other} <= kinds]


@lru_cache(maxsize=256)
def _shapes(convs: tuple[Conv, ...], memory: int, size: tuple[int, int]) -> tuple[Shape, ...]:
    """Shapes that no other beats in width, height and time at once, both ways round."""
    upright = np.concatenate(list(_upright(convs, memory, max(size))) or [np.zeros((0, 3))])
    turned = upright[:, [1, 0, 2]]
    every = np.concatenate([upright, turned])
    every = every[(every[:, 0] <= size[0]) & (every[:, 1] <= size[1])]
    return tuple(Shape(int(w), int(h), float(t)) for w, h, t in _pareto(every))


def _upright(convs: tuple[Conv, ...], memory: int, most: int) -> Iterator[np.ndarray]:
    """(width, height, time) of the kernel for each h' · w' that is worth looking at."""
    first = convs[0]
    seen: set[tuple[int, int]] = set()
    for h in _parts(first.h).tolist():
        for w in _parts(first.w).tolist():
            steps = (-(-first.h // h), -(-first.w // w))
            tall = 2 * h * w > most
            if tall or (steps[0] * steps[1], h * w) in seen:
                continue
            seen.add((steps[0] * steps[1], h * w))
            found = _side_by_side(convs, h, w, memory, most)
            if len(found):
                yield found


def _side_by_side(convs: tuple[Conv, ...], h: int, w: int, memory: int, most: int) -> np.ndarray:
    """Width, height, time of all convolutions with these h' and w': the narrowest for each height and time."""
    options = [_options(conv, h, w, memory, most) for conv in convs]
    if any(not len(one) for one in options):
        return np.zeros((0, 3))
    if len(options) == 1:
        return options[0]
    times = np.unique(np.concatenate([one[:, 2] for one in options]))
    heights = np.unique(np.concatenate([one[:, 1] for one in options]))
    width = np.zeros((len(heights), len(times)))
    for one in options:
        width += _narrowest(one, heights, times)
    rows, columns = np.nonzero(np.isfinite(width) & (width <= most))
    return _pareto(np.stack([width[rows, columns], heights[rows], times[columns]], axis=1))


def _narrowest(options: np.ndarray, heights: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The least width within each height and time, ∞ where there is none, ``[heights, times]``."""
    table = np.full((len(heights), len(times)), np.inf)
    at = np.searchsorted(heights, options[:, 1]), np.searchsorted(times, options[:, 2])
    np.minimum.at(table, at, options[:, 0])
    return np.asarray(np.minimum.accumulate(np.minimum.accumulate(table, axis=0), axis=1))


def _options(conv: Conv, h: int, w: int, memory: int, most: int) -> np.ndarray:
    """(width, height, time) for all c' and k' that fit."""
    c, k = _parts(conv.c), _parts(conv.k)
    c, k = c[h * w * (c + 1) <= most], k[3 * k <= most]
    c, k = (grid.ravel() for grid in np.meshgrid(c, k, indexing="ij"))
    steps = -(-conv.h // h) * -(-conv.w // w)
    time = steps * -(-conv.c // c) * -(-conv.k // k) * conv.r * conv.s / conv.t**2
    tile = (conv.w + conv.s - 1) / w * ((conv.h + conv.r - 1) / h)
    held = conv.c / c * (conv.k / k) * conv.r * conv.s + tile * (conv.k / k)
    found = np.stack([3.0 * k, h * w * (c + 1.0), time], axis=1)
    return np.asarray(found[held <= memory])


def _parts(size: int) -> np.ndarray:
    """The smallest divisor for each size of a part: others do the same in more space."""
    return np.array(sorted({-(-size // part) for part in range(1, size + 1)}))


def _pareto(points: np.ndarray) -> np.ndarray:
    """Points (width, height, time) that no other equals or beats in all three."""
    points = points[np.lexsort((points[:, 2], points[:, 1], points[:, 0]))]
    kept: list[np.ndarray] = []
    heights, best = np.unique(points[:, 1]), np.empty(0)
    best = np.full(len(heights), np.inf)
    for point, row in zip(points, np.searchsorted(heights, points[:, 1]), strict=True):
        if point[2] < best[row]:
            kept.append(point)
            later = best[row:]
            np.minimum(later, point[2], out=later)
    return np.array(kept) if kept else np.zeros((0, 3))

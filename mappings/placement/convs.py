"""Kernels of the ISPD 2020 contest: the rectangles that convolutions take, and how long they take there (James et al.).

A kernel's size follows from its execution arguments h' w' c' k': whole numbers from 1 to the dimension that each
divides up, rounded up. Convolutions of one kernel lie side by side and share h' and w'.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wse_emu.mappings.placement.problem import Shape


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


@lru_cache(maxsize=256)
def shapes_of(convs: tuple[Conv, ...], memory: int, size: tuple[int, int]) -> tuple[Shape, ...]:
    """Shapes that no other equals or beats in width, height and time at once, both ways round."""
    most = max(size)
    fastest = np.full((most + 1, most + 1), np.inf)
    for product, steps in _products(convs, most):
        width, height, time = _side_by_side(convs, product, steps, memory, most)
        np.minimum.at(fastest, (width, height), time)
    fastest = np.minimum(fastest, fastest.T)[: size[0] + 1, : size[1] + 1]
    within = np.minimum.accumulate(np.minimum.accumulate(fastest, axis=0), axis=1)
    smaller = np.full(fastest.shape, np.inf)
    smaller[1:] = within[:-1]
    smaller[:, 1:] = np.minimum(smaller[:, 1:], within[:, :-1])
    found = np.nonzero(fastest < smaller)
    return tuple(Shape(int(w), int(h), float(t)) for w, h, t in zip(*found, fastest[found], strict=True))


def _products(convs: tuple[Conv, ...], most: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Each h' · w', all that size and memory depend on, and the parts one after another that it leaves of each one."""
    first = convs[0]
    for product in range(1, most // 2 + 1):  # a height is h' w' (c' + 1)
        ways = [(h, product // h) for h in range(1, min(first.h, product) + 1) if product % h == 0]
        steps = {tuple(-(-conv.h // h) * -(-conv.w // w) for conv in convs) for h, w in ways if w <= first.w}
        for one in steps:
            if not any(other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in steps):
                yield product, one


def _side_by_side(
    convs: tuple[Conv, ...], product: int, steps: tuple[int, ...], memory: int, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Width, height and time of the kernel with this h' · w': the narrowest for each height and time."""
    options = [_options(conv, product, count, memory, most) for conv, count in zip(convs, steps, strict=True)]
    heights = np.unique(np.concatenate([one[1] for one in options]))
    times = np.unique(np.concatenate([one[2] for one in options]))
    width = np.zeros((len(heights), len(times)))
    for one in options:
        width += _narrowest(one, heights, times)
    slower = np.pad(width, ((0, 0), (1, 0)), constant_values=np.inf)[:, :-1]
    rows, columns = np.nonzero((width <= most) & (width < slower))
    return width[rows, columns].astype(np.intp), heights[rows], times[columns]


def _narrowest(
    options: tuple[np.ndarray, np.ndarray, np.ndarray], heights: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """The least width within each height and time, ∞ where there is none, ``[heights, times]``."""
    table = np.full((len(heights), len(times)), np.inf)
    width, height, time = options
    np.minimum.at(table, (np.searchsorted(heights, height), np.searchsorted(times, time)), width)
    return np.asarray(np.minimum.accumulate(np.minimum.accumulate(table, axis=0), axis=1))


def _options(conv: Conv, product: int, steps: int, memory: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Width, height and time for all c' and k' that fit, of which neither can be less in the same time."""
    c = np.arange(1, min(conv.c, most // product - 1) + 1)[:, None]
    k = np.arange(1, min(conv.k, most // 3) + 1)
    turns = -(-conv.c // c) * -(-conv.k // k)
    tile = (conv.w + conv.s - 1) * (conv.h + conv.r - 1) / product
    fits = (conv.c / c * conv.r * conv.s + tile) * (conv.k / k) <= memory
    held = np.pad(np.where(fits, turns, 0), ((1, 0), (1, 0)))
    rows, columns = np.nonzero(fits & (held[:-1, 1:] != turns) & (held[1:, :-1] != turns))
    time = steps * turns[rows, columns] * conv.r * conv.s / conv.t**2
    return 3 * k[columns], product * (c[rows, 0] + 1), time

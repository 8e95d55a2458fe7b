"""The auto-generated reduction tree: the best pre-order tree by the model of Luczynski et al. (HPDC 2024).

Source: arXiv 2404.15888, the model T = max(C, E/N + L) + (2 T_R + 1) D and the dynamic programme over trees: C is the
most wavelets that a PE takes, E the wavelets times hops, N = L = P − 1 links, D the most messages in a row.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

RAMP = 2
"""T_R of the paper."""
DEEPEST = 64
"""Depth up to which trees are searched; beyond, only the chain is looked at."""
WIDEST = 16
"""Children of a PE up to which trees are searched."""
_NONE = np.int64(2**40)

Children = tuple[tuple[int, ...], ...]
"""By position: the children of the PE there, in the order in which it takes their values."""


@lru_cache(maxsize=256)
def best_tree(extent: int, wavelets: int) -> Children | None:
    """Children of every PE on a line of ``extent`` PEs, the first the root, for vectors of ``wavelets``.

    None: the chain is best.
    """
    if extent == 1:
        return None
    energy, splits = _table(extent)
    depths, widths = np.arange(energy.shape[1])[:, None], np.arange(energy.shape[2])[None, :]
    links = extent - 1
    times = np.maximum(wavelets * widths, wavelets * energy[extent] / links + links) + (2 * RAMP + 1) * depths
    depth, width = np.unravel_index(int(np.argmin(np.where(energy[extent] < _NONE, times, np.inf))), times.shape)
    if times[depth, width] >= wavelets + links + (2 * RAMP + 1) * links:
        return None
    children: list[list[int]] = [[] for _ in range(extent)]
    _grow(children, splits, (0, extent, int(depth), int(width)))
    return tuple(map(tuple, children))


@lru_cache(maxsize=8)
def _table(extent: int) -> tuple[np.ndarray, np.ndarray]:
    """Least energy per wavelet of a tree ``[PEs, depth, width]``, and where its last child begins.

    E(p, d, c) = min over i of E(i, d, c − 1) + E(p − i, d − 1, c) + i, with E(1, ·, ·) = 0.
    """
    depth, width = min(extent - 1, DEEPEST), min(extent - 1, WIDEST)
    energy = np.full((extent + 1, depth + 1, width + 1), _NONE)
    splits = np.zeros(energy.shape, dtype=np.int32)
    energy[1] = 0
    for pes in range(2, extent + 1):
        before = energy[1:pes, 1:, :-1]  # i PEs, of the same depth, one child less
        last = energy[pes - 1 : 0 : -1, :-1, 1:]  # the last child's
        total = before + last + np.arange(1, pes)[:, None, None]
        best = total.argmin(axis=0)
        energy[pes, 1:, 1:] = np.minimum(np.take_along_axis(total, best[None], axis=0)[0], _NONE)
        splits[pes, 1:, 1:] = best + 1
    return energy, splits


def _grow(children: list[list[int]], splits: np.ndarray, tree: tuple[int, int, int, int]) -> None:
    """Fill in the tree (first PE, PEs, depth, width): first what comes before the last child."""
    first, pes, depth, width = tree
    if pes == 1:
        return
    split = int(splits[pes, depth, width])
    _grow(children, splits, (first, split, depth, width - 1))
    _grow(children, splits, (first + split, pes - split, depth - 1, width))
    children[first].append(first + split)


def tree_arms(children: Children) -> Iterator[tuple[int, ...]]:
    """Arms, far end first: a value goes up through last children without a stop; others wait for their parent."""

    def up_to(place: int) -> tuple[int, ...]:
        return (*(up_to(children[place][-1]) if children[place] else ()), place)

    def before(place: int) -> Iterator[tuple[int, ...]]:
        """What has to be combined before the arm through ``place`` can pass."""
        if children[place]:
            yield from before(children[place][-1])
        for child in children[place][:-1]:
            yield from before(child)
            yield (*up_to(child), place)

    for child in children[0]:
        yield from before(child)
        yield (*up_to(child), 0)

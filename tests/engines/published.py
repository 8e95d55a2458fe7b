"""The reduction algorithms as published, written out once for these tests; nothing is taken from the package.

A reduction is a list of rounds, a round a list of arms, an arm the positions along the line that a value passes, far
end first. Chain, tree, two-phase: Luczynski et al., HPDC 2024 (arXiv 2404.15888); halves that meet in the middle and
groups of them: WaferLLM, OSDI 2025 (arXiv 2502.04563).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from math import isqrt
from typing import Any

ALGORITHMS = ("chain", "two_way", "tree", "two_phase", "ktree", "ktree:2", "ktree:3", "ktree:5")
Rounds = list[list[list[int]]]


def rounds(algorithm: str, extent: int) -> Rounds:
    """Rounds of ``algorithm`` on a line of ``extent`` PEs; arms of one PE alone are left out."""
    name, _, groups = algorithm.partition(":")
    line = list(range(extent))
    if name == "ktree":
        found = _ktree(line, min(extent, int(groups) if groups else max(1, isqrt(extent) // 2)))
    else:
        found = {"chain": _chain, "two_way": _two_way, "tree": _tree, "two_phase": _two_phase}[name](line)
    return [kept for arms in found if (kept := [arm for arm in arms if len(arm) > 1])]


def root(algorithm: str, extent: int) -> int:
    """Where the result ends: the head of the last arm."""
    found = rounds(algorithm, extent)
    return found[-1][-1][-1] if found else 0


def streams(algorithm: str, extent: int) -> Iterator[tuple[int, int]]:
    """(from, to) of everything that is sent."""
    for arms in rounds(algorithm, extent):
        for arm in arms:
            yield from pairwise(arm)


def fold(algorithm: str, values: Sequence[Any], operation: Callable[[Any, Any], Any]) -> Any:
    """Combine ``values`` one by one in the published order."""
    return fold_rounds(rounds(algorithm, len(values)), values, operation)[root(algorithm, len(values))]


def fold_rounds(found: Rounds, values: Sequence[Any], operation: Callable[[Any, Any], Any]) -> list[Any]:
    """What every PE holds in the end."""
    held = list(values)
    for arms in found:
        for arm in arms:
            for sender, receiver in pairwise(arm):
                held[receiver] = operation(held[sender], held[receiver])
    return held


def _chain(line: list[int]) -> Rounds:
    return [[line[::-1]]]


def _two_way(line: list[int]) -> Rounds:
    """Both halves run to the middle, which takes the right one, the shorter if one is, first."""
    middle = len(line) // 2
    return [[line[middle:][::-1]], [line[: middle + 1]]]


def _tree(line: list[int]) -> Rounds:
    """Neighbours first, then PEs twice as far apart, and so on; the even one of a pair keeps the sum."""
    found = []
    while len(line) > 1:
        found.append([line[i : i + 2][::-1] for i in range(0, len(line), 2)])
        line = line[::2]
    return found


def _two_phase(line: list[int]) -> Rounds:
    """Groups of √P chain into their first PE, then the first PEs chain."""
    size = isqrt(len(line))
    groups = [line[i : i + size][::-1] for i in range(0, len(line), size)]
    return [groups, [line[::size][::-1]]]


def _ktree(line: list[int], count: int) -> Rounds:
    """`two_way` in every group of ⌈P/K⌉, to where its middle is when full, then over the middles.

    A last group that ends before its middle joins the one before it.
    """
    size = -(-len(line) // count)
    middle = size // 2
    groups = [line[i : i + size] for i in range(0, len(line), size)]
    if len(groups[-1]) <= middle:
        short = groups.pop()
        groups[-1] = groups[-1] + short
    left = [group[: middle + 1] for group in groups]
    right = [group[middle:][::-1] for group in groups]
    return [right, left, *_two_way([group[middle] for group in groups])]


Tree = dict[int, list[int]]
"""Children of every PE, in the order in which it takes their values."""


def model(tree: Tree, wavelets: int) -> float:
    """T = max(C, E/N + L) + (2·T_R + 1)·D with T_R = 2, of a tree rooted at 0 (HPDC 2024, section 4)."""
    links = len(tree) - 1
    contention = wavelets * max(len(children) for children in tree.values())
    energy = wavelets * sum(child - parent for parent, children in tree.items() for child in children)
    return max(contention, energy / links + links) + 5 * depth(tree)


def depth(tree: Tree, place: int = 0) -> int:
    """The most messages one after another."""
    return max((1 + depth(tree, child) for child in tree[place]), default=0)


def bound(tree: Tree, wavelets: int) -> float:
    """What the dynamic programme minimises: as :func:`model`, with its own count of contention."""
    links = len(tree) - 1
    energy = sum(child - parent for parent, children in tree.items() for child in children)
    return max(wavelets * _turns(tree), wavelets * energy / links + links) + 5 * depth(tree)


def _turns(tree: Tree, place: int = 0) -> int:
    """C of the recursion: a subtree that is followed by t others at its root may have t fewer."""
    after = reversed(list(enumerate(reversed(tree[place]))))
    return max((turn + max(1, _turns(tree, child)) for turn, child in after), default=0)


def least_bound(extent: int, wavelets: int) -> float:
    """The least bound of any tree, by the recursion of the paper over all depths and contentions."""
    links, found = extent - 1, []
    for levels in range(1, extent):
        for width in range(1, extent):
            least = _least(extent, levels, width)
            if least is not None:
                found.append(max(wavelets * width, wavelets * least / links + links) + 5 * levels)
    return min(found)


@cache
def _least(extent: int, levels: int, width: int) -> int | None:
    """Least energy per wavelet of a tree; None if there is none so low and narrow."""
    if extent == 1:
        return 0
    found = []
    for split in range(1, extent) if levels and width else ():
        before, last = _least(split, levels, width - 1), _least(extent - split, levels - 1, width)
        if before is not None and last is not None:
            found.append(before + last + split)
    return min(found, default=None)


def messages(tree: Tree, place: int = 0) -> Rounds:
    """Messages one by one: a PE takes the values of its children in order, each when that one has its own."""
    found: Rounds = []
    for child in tree[place]:
        found += [*messages(tree, child), [[child, place]]]
    return found

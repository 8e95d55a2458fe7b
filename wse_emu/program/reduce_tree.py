"""The reduction tree that the model of Luczynski et al. finds best for a line and a length of vector ("Auto-Gen").

HPDC 2024 (arXiv 2404.15888). A PE's subtree is the stretch of the line that begins with it; it takes its
children one after another, the nearest first, and passes the last one's stream on wavelet by wavelet. The energy of
the best tree over P PEs with a depth up to D and a contention up to C (both in messages) is

    E(1, D, C) = 0,    E(P, D, C) = min over i of E(i, D, C − 1) + E(P − i, D − 1, C) + i,

where i is the place of the root's last child. In P the function is convex, by induction: its increments are a 1, those
of E(·, D, C − 1) raised by 1, and those of E(·, D − 1, C), sorted. So v is an increment binom(D + v − 1, v) times, for
v = 1 … C, the best energy is the sum of the P − 1 smallest, and no table is needed. A larger C than the least that
reaches P PEs adds increments that are not used.
"""

from collections.abc import Iterator
from functools import lru_cache
from math import comb, inf

RAMP = 2
"""T_R of the paper: the choice of the tree is its model's, whatever the wafer."""
Children = tuple[tuple[int, ...], ...]
"""By position: the children of the PE there, nearest first."""


@lru_cache(maxsize=256)
def best_tree(extent: int, wavelets: int) -> Children:
    """Children of every PE on a line of ``extent`` PEs, the first the root, for vectors of ``wavelets``."""
    children: list[list[int]] = [[] for _ in range(extent)]
    todo = [(0, extent, *best_limits(extent, wavelets))]
    while todo:
        root, size, depth, contention = todo.pop()
        while size > 1:
            before = _split(size, depth, contention)
            children[root].insert(0, root + before)
            todo.append((root + before, size - before, depth - 1, contention))
            size, contention = before, contention - 1
    return tuple(map(tuple, children))


def best_limits(extent: int, wavelets: int) -> tuple[int, int]:
    """(D, C) of the tree that the model finds fastest: T = max(C · B, B · E / (P − 1) + P − 1) + (2 T_R + 1) · D.

    The smaller D where two are equally fast.
    """
    best, found = inf, (0, 0)
    for depth in range(1, extent):
        if (2 * RAMP + 1) * depth + extent - 1 + wavelets >= best:
            break
        energy, contention = least_energy(extent, depth)
        flow = wavelets * energy / (extent - 1) + extent - 1
        cycles = max(contention * wavelets, flow) + (2 * RAMP + 1) * depth
        if cycles < best:
            best, found = cycles, (depth, contention)
    return found


def least_energy(extent: int, depth: int) -> tuple[int, int]:
    """E(P, D, ·) per wavelet, and the least C that allows it: the P − 1 smallest increments."""
    energy, rest, value = 0, extent - 1, 0
    while rest:
        value += 1
        used = min(rest, comb(depth + value - 1, value))
        energy, rest = energy + used * value, rest - used
    return energy, value


def _split(size: int, depth: int, contention: int) -> int:
    """The greatest i that attains E(size, D, C): 1 and the increments that come from E(·, D, C − 1).

    Of equal increments those are taken first: the model does not tell such trees apart, but a small last subtree has
    its stream ready early, where queues and turns count.
    """
    place, rest = 1, size - 2
    for value in range(1, contention + 1):
        before = min(rest, comb(depth + value - 2, value - 1)) if value > 1 else 0
        last = min(rest - before, comb(depth + value - 2, value))
        place, rest = place + before, rest - before - last
    return place


def tree_arms(children: Children) -> Iterator[tuple[int, ...]]:
    """Arms, far end first: a value goes up through last children without a stop; others wait for their parent.

    Children lie beyond their parent, so that all arms of a subtree come before those into its parent.
    """
    for place in reversed(range(len(children))):
        for child in children[place][:-1]:
            yield (*_arm(children, child), place)
    yield _arm(children, 0)


def _arm(children: Children, head: int) -> tuple[int, ...]:
    """From the far end to ``head``: each PE is the last child of the next."""
    arm = [head]
    while children[arm[-1]]:
        arm.append(children[arm[-1]][-1])
    return tuple(reversed(arm))

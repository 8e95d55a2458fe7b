"""Ways around defects: a best-first search on the mesh that looks at little more than the way that it finds."""

from heapq import heappop, heappush

from wse_emu.errors import WseError
from wse_emu.fabric.defects import PE
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region


def detour(source: Region, target: Region, row: int, column: int, mesh: Mesh) -> list[PE]:
    """Corners of the way from the PE in ``column`` of the source's row to the entry of the target's.

    It is one by which the farthest PE of the target's row is reached over the fewest links, and of those one that goes
    along y early, as an L does. Raises WseError, naming regions and row, if there is none.
    """
    start = (column, source.y + row)
    came: dict[PE, PE] = {}
    hops = {start: 0}
    waiting = [(0, 0, 0, start)]
    while waiting:
        pe = heappop(waiting)[-1]
        if pe[1] == target.y + row and target.x <= pe[0] < target.right:
            return _corners(came, pe)
        for _, to in mesh.neighbours(pe):
            so_far = hops[pe] + 1
            if so_far < hops.get(to, so_far + 1):
                hops[to], came[to] = so_far, pe
                down, across = abs(target.y + row - to[1]), max(target.right - 1 - to[0], to[0] - target.x)
                heappush(waiting, (so_far + down + across, down, across, to))
    raise WseError(f"move from {source} to {target}: the defects leave row {row} no way from PE {start}")


def _corners(came: dict[PE, PE], pe: PE) -> list[PE]:
    """The way back from ``pe``, turned round, without the PEs where it goes straight on."""
    cells = [pe]
    while pe in came:
        pe = came[pe]
        cells.append(pe)
    cells.reverse()
    threes = zip(cells, cells[1:], cells[2:], strict=False)
    turns = [b for a, b, c in threes if a[0] != c[0] and a[1] != c[1]]
    return [cells[0], *turns, cells[-1]]

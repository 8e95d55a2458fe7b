"""A mesh of PEs with its defects."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from wse_emu.errors import WseError
from wse_emu.fabric.defects import PE, Defects
from wse_emu.fabric.directions import Direction
from wse_emu.fabric.graph import MeshDiGraph, MeshGraph
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec

_WHOLE = (int, np.integer)


class Mesh:
    """``columns`` × ``rows`` PEs at (x, y), joined to their neighbours; those in ``defects`` are not there.

    Raises WseError for an empty mesh, or a defect that lies outside.
    """

    def __init__(self, columns: int, rows: int, *, defects: Defects | None = None) -> None:
        if columns < 1 or rows < 1:
            raise WseError(f"a mesh of {columns}×{rows} PEs is empty; at least 1×1 works")
        self.columns, self.rows = columns, rows
        self.defects = defects or Defects()
        for pe in self.defects.pes.union(*self.defects.links):
            if not self._inside(pe):
                raise WseError(f"defect at {pe}: outside the mesh of {columns}×{rows} PEs")

    @classmethod
    def from_spec(cls, spec: WaferSpec, *, whole_fabric: bool = False, defects: Defects | None = None) -> "Mesh":
        """The usable PEs of a wafer, or all of its fabric."""
        size = (spec.fabric_columns, spec.fabric_rows) if whole_fabric else (spec.columns, spec.rows)
        return cls(*size, defects=defects)

    def __contains__(self, pe: object) -> bool:
        return isinstance(pe, tuple) and len(pe) == 2 and self._inside(pe) and pe not in self.defects.pes

    def check_region(self, region: Region, what: str) -> None:
        """WseError if ``region``, which holds ``what``, is empty, leaves the mesh or covers a dead PE or dead link."""
        if region.width < 1 or region.height < 1:
            raise WseError(f"{what}: the region {region} is empty; at least 1×1 works")
        if region.x < 0 or region.y < 0 or region.right > self.columns or region.bottom > self.rows:
            raise WseError(
                f"{what}: the region {region} (columns × rows) leaves the mesh of {self.columns}×{self.rows} PEs; "
                f"columns 0 to {self.columns - 1} and rows 0 to {self.rows - 1} work"
            )
        if self.defects and (inside := self._defect_in(region)):
            raise WseError(f"{what}: the region {region} covers the dead {inside}; a region beside it works")

    def _defect_in(self, region: Region) -> str:
        """The first dead PE or link inside, in words; "" if there is none."""
        rows, columns = slice(region.y, region.bottom), slice(region.x, region.right)
        for y, x in np.argwhere(self.dead[rows, columns])[:1]:
            return f"PE ({region.x + x}, {region.y + y})"
        for way in (Direction.EAST, Direction.SOUTH):
            dx, dy = way.step
            closed = self.closed[way, rows, columns][: region.height - dy, : region.width - dx]
            for y, x in np.argwhere(closed)[:1]:
                return f"link ({region.x + x}, {region.y + y})-({region.x + x + dx}, {region.y + y + dy})"
        return ""

    @cached_property
    def dead(self) -> np.ndarray:
        """Dead PEs, bool ``[rows, columns]``."""
        return self.defects.mask(self.columns, self.rows)

    @cached_property
    def closed(self) -> np.ndarray:
        """Links that nothing can leave a PE by, bool ``[E W N S, rows, columns]``.

        They are dead, join a dead PE, or lead off the mesh.
        """
        beside = np.pad(self.dead, 1, constant_values=True)
        around = (beside[1:-1, 2:], beside[1:-1, :-2], beside[:-2, 1:-1], beside[2:, 1:-1])
        closed = np.stack([self.dead | there for there in around])
        for (ax, ay), (bx, by) in map(sorted, self.defects.links):
            way = Direction.EAST if ay == by else Direction.SOUTH
            closed[way, ay, ax] = closed[way.opposite, by, bx] = True
        return closed

    def neighbours(self, pe: PE) -> list[tuple[Direction, PE]]:
        """The PEs that a working link joins to ``pe``, and the way to them."""
        x, y = pe
        found = []
        if x + 1 < self.columns:
            found.append((Direction.EAST, (x + 1, y)))
        if x > 0:
            found.append((Direction.WEST, (x - 1, y)))
        if y > 0:
            found.append((Direction.NORTH, (x, y - 1)))
        if y + 1 < self.rows:
            found.append((Direction.SOUTH, (x, y + 1)))
        if not (self.defects.pes or self.defects.links):
            return found
        return [(way, to) for way, to in found if to not in self.defects.pes and not self.defects.cuts(pe, to)]

    @cached_property
    def link_count(self) -> int:
        """Working links, each counted once: those of the whole grid but the dead ones and those of dead PEs."""
        whole = Mesh(self.columns, self.rows)
        gone = {frozenset((pe, to)) for pe in self.defects.pes for _, to in whole.neighbours(pe)}
        return (self.columns - 1) * self.rows + self.columns * (self.rows - 1) - len(gone | self.defects.links)

    @cached_property
    def graph(self) -> MeshGraph:
        """The mesh as an undirected networkx graph that takes no memory of its own."""
        return MeshGraph(self)

    @cached_property
    def digraph(self) -> MeshDiGraph:
        """The same with an edge for each direction of a link."""
        return MeshDiGraph(self)

    def with_links(
        self, links: np.ndarray, nodes: Mapping[str, np.ndarray] | None = None
    ) -> tuple[MeshGraph, MeshDiGraph]:
        """The graph and its directed form, with ``wavelets`` on every edge and ``nodes``' arrays on every node.

        ``links`` is ``[E W N S, rows, columns]``: wavelets that left each PE; the undirected edge has both ways' sum.
        ``nodes`` are arrays ``[rows, columns]`` by attribute. Raises WseError for other shapes.
        """
        if links.shape != (4, self.rows, self.columns):
            raise WseError(f"links of shape {links.shape}: (4, {self.rows}, {self.columns}) is the mesh's")
        for name, array in (nodes or {}).items():
            if array.shape != (self.rows, self.columns):
                raise WseError(
                    f"node attribute {name} of shape {array.shape}: ({self.rows}, {self.columns}) is the mesh's"
                )
        return MeshGraph(self, links, nodes), MeshDiGraph(self, links, nodes)

    def _inside(self, pe: PE) -> bool:
        x, y = pe
        return isinstance(x, _WHOLE) and isinstance(y, _WHOLE) and 0 <= x < self.columns and 0 <= y < self.rows

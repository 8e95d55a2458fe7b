"""Where blocks lie, and whether they may lie there."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.mappings.placement.problem import VERSION, PlacementProblem, load_plain, mesh_size


@dataclass(frozen=True)
class Placement:
    """Where each block lies: the top-left PE of its rectangle, and which of its shapes it has."""

    x: tuple[int, ...]
    y: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def of_cells(cls, cells: np.ndarray, columns: int) -> "Placement":
        """Blocks of one PE on ``cells``, numbered row by row."""
        rows, places = np.divmod(np.asarray(cells, dtype=np.int64), columns)
        return cls(tuple(places.tolist()), tuple(rows.tolist()), (0,) * len(rows))

    def regions(self, problem: PlacementProblem) -> list[Region]:
        """The rectangle of every block."""
        shapes = (block.shapes[s] for block, s in zip(problem.blocks, self.shape, strict=True))
        return [Region(x, y, s.width, s.height) for x, y, s in zip(self.x, self.y, shapes, strict=True)]

    def to_json(self) -> str:
        return json.dumps({"version": VERSION, "kind": "placement", **asdict(self)})

    @classmethod
    def from_json(cls, text: str, where: str = "placement") -> "Placement":
        """Raises WseError for text that is no placement of this version."""
        plain = load_plain(text, where, "placement")
        try:
            return cls(*(tuple(map(int, plain[key])) for key in ("x", "y", "shape")))
        except (KeyError, TypeError, ValueError) as error:
            raise WseError(f"{where}: no placement ({type(error).__name__}: {error})") from None


def check_placement(problem: PlacementProblem, placement: Placement) -> None:
    """WseError, naming the block and the cell, unless the placement is legal."""
    count = len(problem.blocks)
    if {len(placement.x), len(placement.y), len(placement.shape)} != {count}:
        found = f"{len(placement.x)}, {len(placement.y)} and {len(placement.shape)}"
        raise WseError(f"{problem.name}: x, y and shape of {found} blocks; the problem has {count}")
    for block, shape in zip(problem.blocks, placement.shape, strict=True):
        if not 0 <= shape < len(block.shapes):
            raise WseError(f"{problem.name}: block {block.name} has no shape {shape}, but {len(block.shapes)} from 0")
        if (held := block.shapes[shape].bytes) > problem.sram_bytes > 0:
            raise WseError(
                f"{problem.name}: block {block.name} takes {held:,} bytes a PE in shape {shape}; a PE has "
                f"{problem.sram_bytes:,}"
            )
    owner = np.full((problem.rows, problem.columns), -1, dtype=np.int64)
    free = problem.free
    for i, region in enumerate(placement.regions(problem)):
        name = problem.blocks[i].name
        if region.x < 0 or region.y < 0 or region.right > problem.columns or region.bottom > problem.rows:
            raise WseError(f"{problem.name}: block {name} on {region} leaves the mesh of {mesh_size(problem)}")
        where = (slice(region.y, region.bottom), slice(region.x, region.right))
        if (taken := owner[where] >= 0).any():
            y, x = np.argwhere(taken)[0]
            other = problem.blocks[owner[where][y, x]].name
            raise WseError(f"{problem.name}: blocks {name} and {other} share PE ({region.x + x},{region.y + y})")
        if not free[where].all():
            y, x = np.argwhere(~free[where])[0]
            raise WseError(f"{problem.name}: block {name} lies on PE ({region.x + x},{region.y + y}), dead or reserved")
        if problem.dead_links and not problem.room.free(region.width, region.height)[region.y, region.x]:
            link = next(link for link in problem.dead_links if all(region.contains(pe) for pe in link))
            (ax, ay), (bx, by) = sorted(link)
            raise WseError(f"{problem.name}: block {name} has the dead link ({ax},{ay})-({bx},{by}) inside")
        owner[where] = i

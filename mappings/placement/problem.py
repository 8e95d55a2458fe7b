"""What is to be placed, and where it may lie: plain data, in and out as JSON."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from wse_emu.errors import WseError
from wse_emu.fabric.region import Region

VERSION = 1
"""Of the JSON that problems and placements are kept in."""


@dataclass(frozen=True)
class Shape:
    """A rectangle of PEs that a block may take, and what it costs there."""

    width: int
    height: int
    cycles: float = 0.0
    """Of the block for one token."""
    bytes: int = 0
    """On each of its PEs."""


@dataclass(frozen=True)
class Block:
    """Something that lies on a rectangle of PEs: a layer, a kernel, an expert, a core."""

    name: str
    shapes: tuple[Shape, ...] = (Shape(1, 1),)


@dataclass(frozen=True)
class Flow:
    """``wavelets`` a token from the block ``source`` to ``targets``, all at once if there are several (multicast)."""

    source: int
    targets: tuple[int, ...]
    wavelets: float


@dataclass(frozen=True)
class Objective:
    """What the cost adds up: hops times wavelets, and the cycles of the slowest block."""

    hop_wavelets: float = 1.0
    slowest_cycles: float = 0.0


@dataclass(frozen=True, eq=False)
class PlacementProblem:
    """Blocks and flows, and a mesh of ``columns`` × ``rows`` PEs without those that are ``dead`` or ``reserved``.

    Raises WseError for what can never be placed: it names the block, the flow or the cell.
    """

    name: str
    blocks: tuple[Block, ...]
    flows: tuple[Flow, ...]
    columns: int
    rows: int
    dead: frozenset[tuple[int, int]] = frozenset()
    """PEs (x, y)."""
    reserved: tuple[Region, ...] = ()
    objective: Objective = field(default_factory=Objective)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def free(self) -> np.ndarray:
        """Where blocks may lie, bool ``[rows, columns]``."""
        free = np.ones((self.rows, self.columns), dtype=bool)
        for x, y in self.dead:
            free[y, x] = False
        for region in self.reserved:
            free[region.y : region.bottom, region.x : region.right] = False
        return free

    @property
    def is_assignment(self) -> bool:
        """Whether every block takes one PE: then a placement is an assignment of blocks to PEs."""
        return all((shape.width, shape.height) == (1, 1) for block in self.blocks for shape in block.shapes)

    def to_json(self) -> str:
        """The problem as text that :meth:`from_json` reads."""
        plain = {"version": VERSION, "kind": "placement problem", **asdict(self)}
        plain["dead"] = sorted(self.dead)
        return json.dumps(plain, indent=1)

    @classmethod
    def from_json(cls, text: str, where: str = "problem") -> "PlacementProblem":
        """Raises WseError for text that is no problem of this version."""
        plain = _load(text, where, "placement problem")
        try:
            blocks = tuple(Block(b["name"], tuple(Shape(**s) for s in b["shapes"])) for b in plain["blocks"])
            flows = tuple(Flow(f["source"], tuple(f["targets"]), f["wavelets"]) for f in plain["flows"])
            return cls(
                plain["name"],
                blocks,
                flows,
                plain["columns"],
                plain["rows"],
                frozenset((x, y) for x, y in plain["dead"]),
                tuple(Region(**r) for r in plain["reserved"]),
                Objective(**plain["objective"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WseError(f"{where}: no placement problem ({type(error).__name__}: {error})") from None


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
        plain = _load(text, where, "placement")
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
    owner = np.full((problem.rows, problem.columns), -1, dtype=np.int64)
    free = problem.free
    for i, region in enumerate(placement.regions(problem)):
        name = problem.blocks[i].name
        if region.x < 0 or region.y < 0 or region.right > problem.columns or region.bottom > problem.rows:
            raise WseError(f"{problem.name}: block {name} on {region} leaves the mesh of {_size(problem)}")
        where = (slice(region.y, region.bottom), slice(region.x, region.right))
        if (taken := owner[where] >= 0).any():
            y, x = np.argwhere(taken)[0]
            other = problem.blocks[owner[where][y, x]].name
            raise WseError(f"{problem.name}: blocks {name} and {other} share PE ({region.x + x},{region.y + y})")
        if not free[where].all():
            y, x = np.argwhere(~free[where])[0]
            raise WseError(f"{problem.name}: block {name} lies on PE ({region.x + x},{region.y + y}), dead or reserved")
        owner[where] = i


def _load(text: str, where: str, kind: str) -> dict[str, Any]:
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise WseError(f"{where}, line {error.lineno}: no valid JSON ({error.msg})") from None
    if not isinstance(plain, dict) or plain.get("kind") != kind or plain.get("version") != VERSION:
        raise WseError(f"{where}: no {kind} of version {VERSION}")
    return plain


def _size(problem: PlacementProblem) -> str:
    return f"{problem.columns}×{problem.rows}"


def _check(problem: PlacementProblem) -> None:
    where = f"problem {problem.name}"
    if problem.columns < 1 or problem.rows < 1 or not problem.blocks:
        raise WseError(f"{where}: {len(problem.blocks)} blocks on {_size(problem)} PEs; one of each at least works")
    for x, y in problem.dead:
        if not (0 <= x < problem.columns and 0 <= y < problem.rows):
            raise WseError(f"{where}: dead PE ({x},{y}) is off the mesh of {_size(problem)}")
    for block in problem.blocks:
        fits = [s for s in block.shapes if 0 < s.width <= problem.columns and 0 < s.height <= problem.rows]
        if not fits:
            raise WseError(f"{where}: block {block.name} has no shape that fits the mesh of {_size(problem)}")
    for number, flow in enumerate(problem.flows):
        ends = (flow.source, *flow.targets)
        if not flow.targets or any(not 0 <= end < len(problem.blocks) for end in ends):
            raise WseError(f"{where}: flow {number} joins blocks {ends}; there are {len(problem.blocks)}, from 0")
        if not (np.isfinite(flow.wavelets) and flow.wavelets >= 0):
            raise WseError(f"{where}: flow {number} has {flow.wavelets} wavelets; a number from 0 works")
    least = sum(min(s.width * s.height for s in block.shapes) for block in problem.blocks)
    room = int(problem.free.sum())
    if least > room:
        raise WseError(f"{where}: the blocks need {least:,} PEs at least, {room:,} are free")

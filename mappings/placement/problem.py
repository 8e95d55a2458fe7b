"""What is to be placed, and where it may lie: plain data, in and out as JSON."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from wse_emu.engines.semantics import stream_costs
from wse_emu.errors import WseError
from wse_emu.fabric.defects import Defects
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.fabric.room import Room
from wse_emu.hardware.wafer import WaferSpec

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
    lanes: int = 1
    """Equal parts that travel side by side: 1 goes from centre to centre, several go from row to row of the blocks."""


@dataclass(frozen=True)
class Objective:
    """What the cost adds up: the weight of each metric of :mod:`wse_emu.mappings.placement.evaluate`."""

    hop_wavelets: float = 1.0
    slowest_cycles: float = 0.0
    cycles: float = 0.0
    contended_cycles: float = 0.0
    busiest_link: float = 0.0


@dataclass(frozen=True)
class Charges:
    """What the fabric charges for a flow, in cycles."""

    hop_cycles: float = 1.0
    wavelet_cycles: float = 1.0
    """Of a link for each wavelet."""
    flow_cycles: float = 0.0
    """Once for each flow: both ramps, setting it up and storing it."""
    clock_hz: float = 1e9

    @classmethod
    def of(cls, spec: WaferSpec) -> "Charges":
        """Those of the wafer ``spec``, for values of 32 bits."""
        costs = stream_costs(spec, "float32", combining=False)
        once = costs.setup + 2 * costs.ramp + costs.receive
        return cls(float(costs.hop), float(costs.interval), float(once), spec.clock_hz)


TokenClock = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(columns, rows of the blocks' corners, each ``[placements, blocks]``) -> cycles of a token ``[placements]``."""


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
    charges: Charges = field(default_factory=Charges)
    sram_bytes: int = 0
    """What a PE has for a block; 0: any number."""
    clock: TokenClock | None = None
    """Times a token by the timing engine, where the blocks are those of a mapped model. JSON leaves it out."""
    dead_links: frozenset[frozenset[tuple[int, int]]] = frozenset()
    """Pairs of neighbours; no block may have one inside."""

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
    def clear(self) -> np.ndarray:
        """The same without one end of every dead link: rectangles in it have none inside."""
        clear = self.free
        for link in self.dead_links:
            x, y = min(link)
            clear[y, x] = False
        return clear

    @cached_property
    def room(self) -> Room:
        """Where rectangles lie clear of dead PEs and dead links."""
        defects = Defects.of(sorted(self.dead), [(min(link), max(link)) for link in self.dead_links])
        return Room(Mesh(self.columns, self.rows, defects=defects))

    @property
    def is_assignment(self) -> bool:
        """Whether every block takes one PE: then a placement is an assignment of blocks to PEs."""
        return all((shape.width, shape.height) == (1, 1) for block in self.blocks for shape in block.shapes)

    def usable(self, shape: Shape) -> bool:
        """Whether it fits the mesh and the PEs' SRAM."""
        fits = 0 < shape.width <= self.columns and 0 < shape.height <= self.rows
        return fits and (not self.sram_bytes or shape.bytes <= self.sram_bytes)

    def to_json(self) -> str:
        """The problem as text that :meth:`from_json` reads."""
        plain = {"version": VERSION, "kind": "placement problem", **asdict(replace(self, clock=None))}
        del plain["clock"]
        plain["dead"] = sorted(self.dead)
        plain["dead_links"] = sorted(sorted(link) for link in self.dead_links)
        return json.dumps(plain, indent=1)

    @classmethod
    def from_json(cls, text: str, where: str = "problem") -> "PlacementProblem":
        """Raises WseError, naming block, flow or key, for text that is no problem of this version."""
        from wse_emu.mappings.placement.problem_json import problem_of

        return problem_of(load_plain(text, where, "placement problem"), where)


def load_plain(text: str, where: str, kind: str) -> dict[str, Any]:
    """The object in a JSON ``text`` of this ``kind`` and version; WseError, naming ``where``, if it is none."""
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise WseError(f"{where}, line {error.lineno}: no valid JSON ({error.msg})") from None
    if not isinstance(plain, dict) or plain.get("kind") != kind or plain.get("version") != VERSION:
        raise WseError(f"{where}: no {kind} of version {VERSION}")
    return plain


def mesh_size(problem: PlacementProblem) -> str:
    """Columns × rows."""
    return f"{problem.columns}×{problem.rows}"


def _check(problem: PlacementProblem) -> None:
    where = f"problem {problem.name}"
    if problem.columns < 1 or problem.rows < 1 or not problem.blocks:
        raise WseError(f"{where}: {len(problem.blocks)} blocks on {mesh_size(problem)} PEs; one of each at least works")
    for x, y in problem.dead:
        if not (0 <= x < problem.columns and 0 <= y < problem.rows):
            raise WseError(f"{where}: dead PE ({x},{y}) is off the mesh of {mesh_size(problem)}")
    if problem.dead_links:
        _ = problem.room  # it refuses links that join no neighbours or are off the mesh
    for region in problem.reserved:
        if region.x < 0 or region.y < 0 or region.width < 1 or region.height < 1:
            raise WseError(f"{where}: reserved {region} is empty or off the mesh of {mesh_size(problem)}")
    for block in problem.blocks:
        _check_block(problem, block, where)
    for number, flow in enumerate(problem.flows):
        _check_flow(flow, len(problem.blocks), f"{where}: flow {number}")
    least = sum(min(s.width * s.height for s in block.shapes) for block in problem.blocks)
    room = int(problem.free.sum())
    if least > room:
        raise WseError(f"{where}: the blocks need {least:,} PEs at least, {room:,} are free")


def _check_block(problem: PlacementProblem, block: Block, where: str) -> None:
    for shape in block.shapes:
        if not (np.isfinite(shape.cycles) and shape.cycles >= 0 and shape.bytes >= 0):
            raise WseError(
                f"{where}: block {block.name} takes {shape.cycles} cycles, {shape.bytes} bytes; both from 0 work"
            )
    fits = [s for s in block.shapes if 0 < s.width <= problem.columns and 0 < s.height <= problem.rows]
    if not fits:
        raise WseError(f"{where}: block {block.name} has no shape that fits the mesh of {mesh_size(problem)}")
    least = min(s.bytes for s in fits)
    if 0 < problem.sram_bytes < least:
        raise WseError(
            f"{where}: block {block.name} takes {least:,} bytes on each of its PEs at least; a PE has "
            f"{problem.sram_bytes:,}"
        )


def _check_flow(flow: Flow, blocks: int, where: str) -> None:
    ends = (flow.source, *flow.targets)
    if not flow.targets or any(not 0 <= end < blocks for end in ends):
        raise WseError(f"{where} joins blocks {ends}; there are {blocks}, from 0")
    if not (np.isfinite(flow.wavelets) and flow.wavelets >= 0):
        raise WseError(f"{where} has {flow.wavelets} wavelets; a number from 0 works")
    if flow.lanes < 1:
        raise WseError(f"{where} has {flow.lanes} lanes; 1 works, or the rows of its blocks")

"""Routes: what every router does with a color, the checks before a run, and the colors that a set of routes needs.

A route is one logical channel: per PE the ports that it comes in by and the ports that it leaves by, as bit sets of
:data:`PORTS`. Two routes may share a color where they never meet at a PE, or are the same wherever they meet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

from wse_emu.errors import WseError
from wse_emu.fabric.directions import DIRECTIONS, Direction
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec

PORTS = {"E": 1, "W": 2, "N": 4, "S": 8, "RAMP": 16}
"""Bit of each port; the first four are 1 << Direction."""
RAMP = PORTS["RAMP"]


def port(direction: Direction) -> int:
    """The bit of the port that faces ``direction``."""
    return 1 << direction


def port_names(bits: int) -> str:
    """The ports in a bit set, "E+RAMP"."""
    return "+".join(name for name, bit in PORTS.items() if bits & bit) or "none"


@dataclass(frozen=True, eq=False)
class Route:
    """One channel of the kernel ``kernel`` inside ``region``; its ports are bit sets, uint8 ``[height, width]``."""

    name: str
    kernel: str
    region: Region
    inputs: np.ndarray
    outputs: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """Where this route does anything, bool ``[height, width]``."""
        return np.asarray(self.inputs | self.outputs, dtype=bool)

    def meets(self, other: "Route") -> tuple[int, int] | None:
        """A PE (x, y) where the two ask the router for different things; None if they can share a color."""
        if not self.region.overlaps(other.region):
            return None
        x, y = max(self.region.x, other.region.x), max(self.region.y, other.region.y)
        right, bottom = min(self.region.right, other.region.right), min(self.region.bottom, other.region.bottom)
        mine, theirs = (route.part(Region(x, y, right - x, bottom - y)) for route in (self, other))
        clash = (mine != 0) & (theirs != 0) & (mine != theirs)
        if not clash.any():
            return None
        row, column = np.unravel_index(int(clash.argmax()), clash.shape)
        return x + int(column), y + int(row)

    def part(self, region: Region) -> np.ndarray:
        """Inputs and outputs inside ``region``, as one number a PE, int32 ``[height, width]``."""
        rows = slice(region.y - self.region.y, region.bottom - self.region.y)
        columns = slice(region.x - self.region.x, region.right - self.region.x)
        both: np.ndarray = self.inputs[rows, columns].astype(np.int32) * 32 + self.outputs[rows, columns]
        return both


def check_route(route: Route, mesh: Mesh, *, several: bool = False, switched: bool = False) -> None:
    """WseError, naming route, kernel and PE, if the route cannot work on ``mesh``.

    Wrong are: two inputs at one PE (unless ``several``: then two at once are found while it runs), a way off the mesh,
    over a dead PE or a dead link, an output that the next router does not take, an input that nobody feeds (both may
    change where the route is one position of a switch, ``switched``).
    """
    where = f"route {route.name} of kernel {route.kernel}"
    shape = (route.region.height, route.region.width)
    if route.inputs.shape != shape or route.outputs.shape != shape:
        raise WseError(f"{where}: port arrays of shape {route.inputs.shape}, its region has {shape}")
    if not several:
        two = (route.inputs & (route.inputs - np.uint8(1))) != 0
        _refuse(two & (route.inputs != 0), route, "takes two inputs at once; one input a color and PE works")
    _refuse(_dead(route, mesh), route, "crosses a dead PE; a way around it works")
    for direction in DIRECTIONS:
        _check_direction(route, mesh, direction, switched=switched)


def _dead(route: Route, mesh: Mesh) -> np.ndarray:
    dead = np.zeros(route.inputs.shape, dtype=bool)
    for x, y in mesh.defects.pes:
        if route.region.contains((x, y)):
            dead[y - route.region.y, x - route.region.x] = True
    return np.asarray(dead & route.used)


def _check_direction(route: Route, mesh: Mesh, direction: Direction, *, switched: bool) -> None:
    """Every wavelet that leaves in ``direction`` is taken by the next router, and every one that is awaited is sent."""
    dx, dy = direction.step
    out = np.pad((route.outputs & port(direction)) != 0, 1)
    taken = np.pad((route.inputs & port(direction.opposite)) != 0, 1)
    way, back = direction.name.lower(), direction.opposite.name.lower()
    arriving = np.roll(out, (dy, dx), axis=(0, 1))
    lost = np.roll(arriving & ~taken, (-dy, -dx), axis=(0, 1))[1:-1, 1:-1]
    _refuse(lost & _beyond(route.region, mesh, direction), route, f"leaves the mesh to the {way}")
    if not switched:
        _refuse(lost, route, f"sends to the {way}, where the next router does not take it")
        _refuse((taken & ~arriving)[1:-1, 1:-1], route, f"waits for wavelets from the {back} that nobody sends")
    _refuse(out[1:-1, 1:-1] & _cut(route.region, mesh, direction), route, f"crosses a dead link to the {way}")


def _beyond(region: Region, mesh: Mesh, direction: Direction) -> np.ndarray:
    """PEs of ``region`` whose neighbour in ``direction`` is off the mesh, bool ``[height, width]``."""
    dx, dy = direction.step
    x, y = np.arange(region.x, region.right) + dx, np.arange(region.y, region.bottom) + dy
    return np.asarray(((y < 0) | (y >= mesh.rows))[:, None] | ((x < 0) | (x >= mesh.columns))[None, :])


def _cut(region: Region, mesh: Mesh, direction: Direction) -> np.ndarray:
    """PEs of ``region`` whose link in ``direction`` is dead, bool ``[height, width]``."""
    dx, dy = direction.step
    cut = np.zeros((region.height, region.width), dtype=bool)
    for link in mesh.defects.links:
        for x, y in link:
            if (x + dx, y + dy) in link and region.contains((x, y)):
                cut[y - region.y, x - region.x] = True
    return cut


def _refuse(wrong: np.ndarray, route: Route, what: str) -> None:
    if wrong.any():
        y, x = np.unravel_index(int(wrong.argmax()), wrong.shape)
        ways = f"in {port_names(int(route.inputs[y, x]))}, out {port_names(int(route.outputs[y, x]))}"
        pe = (route.region.x + int(x), route.region.y + int(y))
        raise WseError(f"route {route.name} of kernel {route.kernel}: at PE {pe} {what} ({ways})")


def allocate_colors(routes: Sequence[Route], spec: WaferSpec) -> dict[str, int]:
    """A color for every route, by name, as few as a few greedy orders find; the runtime's colors are left out.

    Raises WseError with routes that all clash with each other, and where, if the fabric has too few colors for them.
    """
    graph = nx.Graph()
    graph.add_nodes_from(route.name for route in routes)
    clashes = {}
    for i, first in enumerate(routes):
        for second in routes[i + 1 :]:
            if (pe := first.meets(second)) is not None:
                graph.add_edge(first.name, second.name)
                clashes[frozenset((first.name, second.name))] = pe
    colorings = (nx.greedy_color(graph, strategy) for strategy in _ORDERS)
    colors: dict[str, int] = min(colorings, key=lambda coloring: max(coloring.values(), default=-1))
    available = spec.colors - spec.runtime_colors
    if max(colors.values(), default=-1) >= available:
        raise _too_many(graph, clashes, available, max(colors.values()) + 1)
    return {route.name: colors[route.name] for route in routes}


_ORDERS = ("DSATUR", "largest_first", "smallest_last")


def _some_clique(graph: nx.Graph) -> list[str]:
    """Routes that all clash, those with most clashes first: enough where far too many meet, and quick to find."""
    found: list[str] = []
    for name in sorted(graph, key=lambda one: -graph.degree(one)):
        if all(graph.has_edge(name, other) for other in found):
            found.append(name)
    return found


def _too_many(graph: nx.Graph, clashes: dict[frozenset[str], tuple[int, int]], available: int, found: int) -> WseError:
    clique = _some_clique(graph)
    if len(clique) <= available:
        clique, _ = nx.max_weight_clique(graph, weight=None)
    pe = clashes[frozenset(clique[:2])]
    proof = (
        f"{len(clique)} routes clash with each other, such as {', '.join(sorted(clique)[:4])} at PE {pe}"
        if len(clique) > available
        else f"the best order found needs {found}"
    )
    return WseError(
        f"the routes need more than the {available} colors that the runtime leaves: {proof}; fewer "
        "reduction algorithms in one region, or more colors, work"
    )

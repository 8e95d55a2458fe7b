"""The mesh as a networkx graph with implicit adjacency: nodes and edges are computed when asked for.

networkx graphs keep nodes and neighbours in mappings; here the mappings are views of the mesh, so that the whole wafer
is a graph of a few hundred bytes on which every networkx algorithm works. The graph cannot be changed: copy it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from wse_emu.fabric.directions import DIRECTIONS, Direction

if TYPE_CHECKING:
    from wse_emu.fabric.mesh import Mesh

Node = tuple[int, int]
Attributes = dict[str, Any]


class _Nodes(Mapping[Node, Attributes]):
    """Node -> attributes, read from arrays ``[rows, columns]``."""

    def __init__(self, mesh: Mesh, arrays: Mapping[str, np.ndarray]) -> None:
        self._mesh, self._arrays = mesh, arrays

    def __getitem__(self, node: Node) -> Attributes:
        if node not in self._mesh:
            raise KeyError(node)
        x, y = node
        return {name: array[y, x].item() for name, array in self._arrays.items()}

    def __iter__(self) -> Iterator[Node]:
        dead = self._mesh.defects.pes
        nodes = ((x, y) for y in range(self._mesh.rows) for x in range(self._mesh.columns))
        return nodes if not dead else (node for node in nodes if node not in dead)

    def __len__(self) -> int:
        return self._mesh.columns * self._mesh.rows - len(self._mesh.defects.pes)

    def __contains__(self, node: object) -> bool:
        return node in self._mesh


class _Neighbours(Mapping[Node, Attributes]):
    """Neighbour -> attributes of the edge to it."""

    def __init__(self, mesh: Mesh, node: Node, links: np.ndarray | None, *, both_ways: bool, inward: bool) -> None:
        self._mesh, self._node, self._links = mesh, node, links
        self._both_ways, self._inward = both_ways, inward

    def __getitem__(self, node: Node) -> Attributes:
        for direction, neighbour in self._around():
            if neighbour == node:
                return self._attributes(direction, neighbour)
        raise KeyError(node)

    def __iter__(self) -> Iterator[Node]:
        return (neighbour for _, neighbour in self._around())

    def __len__(self) -> int:
        return sum(1 for _ in self._around())

    def _around(self) -> Iterator[tuple[Direction, Node]]:
        x, y = self._node
        for direction in DIRECTIONS:
            dx, dy = direction.step
            neighbour = (x + dx, y + dy)
            if neighbour in self._mesh and not self._mesh.defects.has_link(self._node, neighbour):
                yield direction, neighbour

    def _attributes(self, direction: Direction, neighbour: Node) -> Attributes:
        if self._links is None:
            return {}
        out = int(self._links[direction, self._node[1], self._node[0]])
        back = int(self._links[direction.opposite, neighbour[1], neighbour[0]])
        return {"wavelets": out + back if self._both_ways else back if self._inward else out}


class _Adjacency(Mapping[Node, _Neighbours]):
    """Node -> its neighbours."""

    def __init__(self, nodes: _Nodes, mesh: Mesh, links: np.ndarray | None, **kind: bool) -> None:
        self._nodes, self._mesh, self._links, self._kind = nodes, mesh, links, kind

    def __getitem__(self, node: Node) -> _Neighbours:
        if node not in self._nodes:
            raise KeyError(node)
        return _Neighbours(self._mesh, node, self._links, **self._kind)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node: object) -> bool:
        return node in self._nodes


def _frozen(*_args: Any, **_named: Any) -> None:
    raise nx.NetworkXError("a mesh cannot be changed; graph.copy() gives a networkx graph that can")


class _Frozen:
    """What changes a graph is refused; what builds a new one gives a plain networkx graph."""

    add_node = add_nodes_from = remove_node = remove_nodes_from = _frozen
    add_edge = add_edges_from = add_weighted_edges_from = remove_edge = remove_edges_from = _frozen
    clear = clear_edges = update = _frozen


class MeshGraph(_Frozen, nx.Graph):  # type: ignore[misc]
    """The mesh, undirected. ``edges[u, v]["wavelets"]`` is the traffic of both ways, where links were given."""

    def __new__(cls, mesh: Mesh | None = None, *_args: Any, **_named: Any) -> Any:
        """Networkx makes new graphs by calling a graph's class with nothing: those are plain ones."""
        return super().__new__(cls) if mesh is not None else nx.Graph()

    def __init__(
        self, mesh: Mesh, links: np.ndarray | None = None, nodes: Mapping[str, np.ndarray] | None = None
    ) -> None:
        super().__init__()
        self._mesh = mesh
        self._node = _Nodes(mesh, nodes or {})
        self._adj = _Adjacency(self._node, mesh, links, both_ways=True, inward=False)

    def to_directed_class(self) -> type[nx.DiGraph]:
        return nx.DiGraph  # type: ignore[no-any-return]

    def to_undirected_class(self) -> type[nx.Graph]:
        return nx.Graph  # type: ignore[no-any-return]

    def number_of_edges(self, u: Node | None = None, v: Node | None = None) -> int:
        """All edges, in no time where nothing is dead; or those between u and v, 0 or 1."""
        if u is not None:
            return int(v in self._adj[u]) if u in self._node else 0
        if self._mesh.defects.pes or self._mesh.defects.links:
            return sum(len(self._adj[node]) for node in self) // 2
        columns, rows = self._mesh.columns, self._mesh.rows
        return (columns - 1) * rows + columns * (rows - 1)


class MeshDiGraph(_Frozen, nx.DiGraph):  # type: ignore[misc]
    """The mesh with an edge for each direction; ``edges[u, v]["wavelets"]`` is what left u towards v."""

    def __new__(cls, mesh: Mesh | None = None, *_args: Any, **_named: Any) -> Any:
        """Networkx makes new graphs by calling a graph's class with nothing: those are plain ones."""
        return super().__new__(cls) if mesh is not None else nx.DiGraph()

    def __init__(
        self, mesh: Mesh, links: np.ndarray | None = None, nodes: Mapping[str, np.ndarray] | None = None
    ) -> None:
        super().__init__()
        self._mesh = mesh
        self._node = _Nodes(mesh, nodes or {})
        self._adj = self._succ = _Adjacency(self._node, mesh, links, both_ways=False, inward=False)
        self._pred = _Adjacency(self._node, mesh, links, both_ways=False, inward=True)

    def to_directed_class(self) -> type[nx.DiGraph]:
        return nx.DiGraph  # type: ignore[no-any-return]

    def to_undirected_class(self) -> type[nx.Graph]:
        return nx.Graph  # type: ignore[no-any-return]

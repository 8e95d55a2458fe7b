"""The mesh as a networkx graph with implicit adjacency: nodes and edges are computed when asked for.

networkx graphs keep nodes and neighbours in mappings; here the mappings are views of the mesh, so that the whole wafer
is a graph of a few hundred bytes on which every networkx algorithm works. The graph cannot be changed: copy it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import networkx as nx
import numpy as np

from wse_emu.fabric.directions import Direction

if TYPE_CHECKING:
    from wse_emu.fabric.mesh import Mesh

Node = tuple[int, int]


def _frozen(*_args: Any, **_named: Any) -> NoReturn:
    raise nx.NetworkXError("a mesh cannot be changed; graph.copy() gives a networkx graph that can")


class Attributes(dict[str, Any]):
    """Attributes of a node or an edge, made when asked for: a change would be lost, so it is refused."""

    __setitem__ = __delitem__ = __ior__ = _frozen
    update = setdefault = pop = popitem = clear = _frozen

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        """A copy, deep or pickled, is a plain dict: networkx deep-copies attributes into graphs that can change."""
        return dict, (dict(self),)


class _Nodes(Mapping[Node, Attributes]):
    """Node -> attributes, read from arrays ``[rows, columns]``."""

    def __init__(self, mesh: Mesh, arrays: Mapping[str, np.ndarray]) -> None:
        self._mesh, self._arrays = mesh, arrays

    def __getitem__(self, node: Node) -> Attributes:
        if node not in self._mesh:
            raise KeyError(node)
        x, y = node
        return Attributes((name, array[y, x].item()) for name, array in self._arrays.items())

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

    def _around(self) -> list[tuple[Direction, Node]]:
        return self._mesh.neighbours(self._node)

    def _attributes(self, direction: Direction, neighbour: Node) -> Attributes:
        if self._links is None:
            return Attributes()
        out = int(self._links[direction, self._node[1], self._node[0]])
        back = int(self._links[direction.opposite, neighbour[1], neighbour[0]])
        return Attributes(wavelets=out + back if self._both_ways else back if self._inward else out)


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


class _Frozen:
    """What changes a graph is refused; what builds a new one gives a plain networkx graph."""

    frozen = True  # what nx.is_frozen asks for
    _mesh: Mesh
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
        """All edges, counted and not walked; or those between u and v, 0 or 1; KeyError for an unknown u."""
        return self._mesh.link_count if u is None else int(v in self._adj[u])

    def size(self, weight: str | None = None) -> float:
        return self._mesh.link_count if weight is None else super().size(weight)


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

    def number_of_edges(self, u: Node | None = None, v: Node | None = None) -> int:
        """All edges, two for each link; or those from u to v, 0 or 1; KeyError for an unknown u."""
        return 2 * self._mesh.link_count if u is None else int(v in self._adj[u])

    def size(self, weight: str | None = None) -> float:
        return 2 * self._mesh.link_count if weight is None else super().size(weight)

    def to_directed_class(self) -> type[nx.DiGraph]:
        return nx.DiGraph  # type: ignore[no-any-return]

    def to_undirected_class(self) -> type[nx.Graph]:
        return nx.Graph  # type: ignore[no-any-return]

"""Small meshes with any defects, and the same as a plain networkx graph."""

import networkx as nx
from hypothesis import strategies as st

from wse_emu.fabric import Defects, Mesh

Node = tuple[int, int]


def grid(columns: int, rows: int) -> nx.Graph:
    """networkx's own grid; its nodes are (x, y) where its first size is that of columns."""
    return nx.grid_2d_graph(columns, rows)


def plain(mesh: Mesh) -> nx.Graph:
    """What the mesh's graph must be: networkx's own grid with the defects taken out."""
    graph = grid(mesh.columns, mesh.rows)
    graph.remove_edges_from([tuple(link) for link in mesh.defects.links])
    graph.remove_nodes_from(mesh.defects.pes)
    return graph


@st.composite
def meshes(draw: st.DrawFn, *, largest: int = 7) -> Mesh:
    """1×1 to ``largest``² PEs; any of them and of their links may be dead, all of them too."""
    columns, rows = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    whole = grid(columns, rows)
    pes: list[Node] = draw(st.lists(st.sampled_from(sorted(whole.nodes)), max_size=columns * rows, unique=True))
    edges: list[tuple[Node, Node]] = sorted(whole.edges)
    links = draw(st.lists(st.sampled_from(edges), max_size=8)) if edges else []
    return Mesh(columns, rows, defects=Defects.of(pes, links))

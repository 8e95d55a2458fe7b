"""The implicit graph is networkx's own grid without the defects, and every algorithm finds it so."""

import copy
import pickle
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fabric.strategies import Node, meshes, plain
from wse_emu.errors import WseError
from wse_emu.fabric import DIRECTIONS, Defects, Mesh
from wse_emu.hardware import load_wafer

Edges = set[frozenset[Node]]


def edges(graph: nx.Graph) -> Edges:
    return {frozenset(edge) for edge in graph.edges}


def traffic(mesh: Mesh, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1000, (4, mesh.rows, mesh.columns))


def sent(links: np.ndarray, u: Node, v: Node) -> int:
    """Wavelets from u to v by the convention alone: planes E, W, N, S of what leaves [y, x]; y grows to the south."""
    plane = {(1, 0): 0, (-1, 0): 1, (0, -1): 2, (0, 1): 3}[v[0] - u[0], v[1] - u[1]]
    return int(links[plane, u[1], u[0]])


@given(mesh=meshes())
def test_nodes_edges_and_degrees_are_those_of_the_grid(mesh: Mesh) -> None:
    graph, oracle = mesh.graph, plain(mesh)
    assert set(graph) == set(graph.nodes) == set(oracle)
    assert len(list(graph)) == len(graph) == graph.number_of_nodes() == graph.order() == len(oracle)
    assert edges(graph) == edges(oracle)
    assert graph.number_of_edges() == graph.size() == len(graph.edges) == oracle.number_of_edges()
    assert dict(graph.degree) == dict(oracle.degree)
    for x in range(-1, mesh.columns + 1):
        for y in range(-1, mesh.rows + 1):
            assert ((x, y) in graph) == ((x, y) in oracle)
            for v in ((x + 1, y), (x, y + 1), (x + 1, y + 1)):
                assert graph.has_edge((x, y), v) == oracle.has_edge((x, y), v) == graph.has_edge(v, (x, y))
                if (x, y) in oracle:
                    assert graph.number_of_edges((x, y), v) == oracle.number_of_edges((x, y), v)


@given(mesh=meshes())
def test_the_directed_graph_has_both_ways(mesh: Mesh) -> None:
    graph, oracle = mesh.digraph, plain(mesh).to_directed()
    assert set(graph) == set(oracle)
    assert set(graph.edges) == set(oracle.edges)
    assert graph.number_of_edges() == graph.size() == len(graph.edges) == oracle.number_of_edges()
    assert dict(graph.in_degree) == dict(graph.out_degree) == dict(oracle.out_degree)
    assert {v: set(graph.predecessors(v)) for v in graph} == {v: set(oracle.predecessors(v)) for v in oracle}


@given(mesh=meshes(largest=5))
def test_paths_and_components_are_those_of_the_grid(mesh: Mesh) -> None:
    graph, oracle = mesh.graph, plain(mesh)
    assert dict(nx.all_pairs_shortest_path_length(graph)) == dict(nx.all_pairs_shortest_path_length(oracle))
    assert components(graph) == components(oracle)
    assert {frozenset(part) for part in nx.strongly_connected_components(mesh.digraph)} == components(oracle)
    for part in components(oracle):
        start, end = min(part), max(part)
        length = nx.shortest_path_length(oracle, start, end)
        assert nx.astar_path_length(graph, start, end, heuristic=apart) == length
        assert len(nx.bidirectional_shortest_path(graph, start, end)) == length + 1
        assert set(nx.bfs_tree(graph, start)) == part


def components(graph: nx.Graph) -> set[frozenset[Node]]:
    return {frozenset(part) for part in nx.connected_components(graph)}


def apart(a: Node, b: Node) -> int:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


@given(mesh=meshes(), seed=st.integers(0, 99))
def test_wavelets_of_edges_are_those_of_the_links(mesh: Mesh, seed: int) -> None:
    links = traffic(mesh, seed)
    graph, digraph = mesh.with_links(links)
    for u, v, attributes in graph.edges(data=True):
        assert attributes == {"wavelets": sent(links, u, v) + sent(links, v, u)}
        assert graph.edges[v, u] == graph[u][v] == attributes
    for u, v in digraph.edges:
        assert digraph.edges[u, v] == digraph.pred[v][u] == {"wavelets": sent(links, u, v)}
    assert graph.size(weight="wavelets") == digraph.size(weight="wavelets")
    assert sum(degree for _, degree in digraph.in_degree(weight="wavelets")) == digraph.size(weight="wavelets")


@given(mesh=meshes(largest=5), seed=st.integers(0, 99))
def test_a_copy_is_a_plain_graph_with_all_that_was_there(mesh: Mesh, seed: int) -> None:
    clocks = np.arange(mesh.rows * mesh.columns).reshape(mesh.rows, mesh.columns)
    for graph in mesh.with_links(traffic(mesh, seed), {"cycles": clocks}):
        kind = nx.DiGraph if graph.is_directed() else nx.Graph
        for made in (graph.copy(), kind(graph), copy.deepcopy(graph)):
            assert type(made) is kind
            assert dict(made.nodes(data=True)) == dict(graph.nodes(data=True))
            assert nx.utils.graphs_equal(kind(made), kind(graph))
        changed = graph.copy()
        changed.add_edge("host", (0, 0), wavelets=1)
        assert changed.number_of_nodes() > graph.number_of_nodes()
        assert type(graph.to_directed()) is nx.DiGraph
        assert type(graph.to_undirected()) is nx.Graph
        assert set(graph.to_directed().edges) == set(mesh.digraph.edges)
        assert edges(graph.to_undirected()) == edges(mesh.graph)
    assert dict(mesh.digraph.reverse().edges) == dict(mesh.digraph.edges)


def test_attributes_of_nodes_are_read_when_asked_for() -> None:
    mesh, clocks = Mesh(3, 2), np.arange(6).reshape(2, 3)
    graph, digraph = mesh.with_links(np.zeros((4, 2, 3), np.int64), {"cycles": clocks, "hot": clocks > 4})
    assert graph.nodes[(2, 1)] == digraph.nodes[(2, 1)] == {"cycles": 5, "hot": True}
    clocks[1, 2] = 77
    assert graph.nodes[(2, 1)]["cycles"] == 77
    assert nx.get_node_attributes(graph, "cycles")[(0, 1)] == 3
    assert type(graph.nodes[(2, 1)]["cycles"]) is int


def test_matrices_and_trees_weigh_what_the_links_carry() -> None:
    mesh = Mesh(4, 3, defects=Defects.of([(1, 1)], [((2, 0), (3, 0))]))
    graph, digraph = mesh.with_links(traffic(mesh, 1))
    oracle, ways = nx.Graph(graph), nx.DiGraph(digraph)
    matrix = nx.to_scipy_sparse_array(graph, nodelist=sorted(graph), weight="wavelets")
    assert (matrix.toarray() == nx.to_numpy_array(oracle, nodelist=sorted(graph), weight="wavelets")).all()
    tree = nx.minimum_spanning_tree(graph, weight="wavelets")
    assert tree.size("wavelets") == nx.minimum_spanning_tree(oracle, weight="wavelets").size("wavelets")
    flow, expected = (nx.maximum_flow_value(g, (0, 0), (3, 2), capacity="wavelets") for g in (digraph, ways))
    assert flow == expected > 0


def test_views_leave_out_and_keep() -> None:
    mesh = Mesh(5, 4)
    graph, _ = mesh.with_links(traffic(mesh, 2))
    west = nx.subgraph_view(graph, filter_node=lambda node: node[0] < 2)
    assert set(west) == {(x, y) for x in range(2) for y in range(4)}
    assert nx.shortest_path_length(west, (0, 0), (1, 3)) == 4
    busy = nx.subgraph_view(graph, filter_edge=lambda u, v: graph.edges[u, v]["wavelets"] > 900)
    assert edges(busy) == {frozenset((u, v)) for u, v, wavelets in graph.edges(data="wavelets") if wavelets > 900}
    corner = graph.subgraph([(0, 0), (1, 0), (4, 3)])
    assert edges(corner) == {frozenset({(0, 0), (1, 0)})}
    assert type(corner.copy()) is nx.Graph


def test_numpy_integers_are_coordinates_as_in_any_networkx_graph() -> None:
    node = (np.int64(2), np.int64(1))
    assert node in Mesh(4, 3).graph
    assert nx.shortest_path_length(Mesh(4, 3).graph, node, (0, 0)) == 3


@pytest.mark.parametrize("other", [(0.5, 1), (1,), (1, 1, 1), "ab", 5, None, [0, 0], ([0], 0)])
def test_what_is_no_pe_is_no_node(other: object) -> None:
    assert other not in Mesh(4, 3).graph
    assert other not in Mesh(4, 3).graph.nodes


def test_unknown_nodes_raise_what_networkx_raises() -> None:
    graph = Mesh(4, 3, defects=Defects.of([(1, 1)])).graph
    for node in ((4, 0), (0, -1), (1, 1)):
        with pytest.raises(KeyError):
            graph.nodes[node]
        with pytest.raises(KeyError):
            graph[node]
        with pytest.raises(nx.NetworkXError):
            graph.neighbors(node)
    with pytest.raises(KeyError):
        graph.edges[(0, 0), (2, 0)]
    with pytest.raises(KeyError):
        graph.number_of_edges((9, 9), (0, 0))


CHANGES: dict[str, Callable[[Any], object]] = {
    "add_node": lambda g: g.add_node((9, 9)),
    "add_nodes_from": lambda g: g.add_nodes_from([(9, 9)]),
    "remove_node": lambda g: g.remove_node((0, 0)),
    "remove_nodes_from": lambda g: g.remove_nodes_from([(0, 0)]),
    "add_edge": lambda g: g.add_edge((0, 0), (1, 1)),
    "add_edges_from": lambda g: g.add_edges_from([((0, 0), (1, 1))]),
    "add_weighted_edges_from": lambda g: g.add_weighted_edges_from([((0, 0), (1, 1), 2)]),
    "remove_edge": lambda g: g.remove_edge((0, 0), (1, 0)),
    "remove_edges_from": lambda g: g.remove_edges_from([((0, 0), (1, 0))]),
    "update": lambda g: g.update(nodes=[(9, 9)]),
    "clear": lambda g: g.clear(),
    "clear_edges": lambda g: g.clear_edges(),
    "add_path": lambda g: nx.add_path(g, [(0, 0), (1, 1)]),
    "relabel in place": lambda g: nx.relabel_nodes(g, {(0, 0): "a"}, copy=False),
    "node attribute": lambda g: g.nodes[(0, 0)].update(cycles=1),
    "node attributes": lambda g: nx.set_node_attributes(g, 1, "cycles"),
    "edge attribute": lambda g: g.edges[(0, 0), (1, 0)].setdefault("wavelets", 1),
    "edge attributes": lambda g: nx.set_edge_attributes(g, 1, "wavelets"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("directed", [False, True])
def test_changes_are_refused_and_told_what_works(change: str, directed: bool) -> None:
    graph = Mesh(3, 2).digraph if directed else Mesh(3, 2).graph
    assert nx.is_frozen(graph)
    with pytest.raises(nx.NetworkXError, match=r"a mesh cannot be changed; graph\.copy\(\) gives a networkx graph"):
        CHANGES[change](graph)
    assert edges(graph) == edges(nx.grid_2d_graph(3, 2))


def test_attributes_pickle_as_plain_dicts() -> None:
    graph, _ = Mesh(2, 1).with_links(np.ones((4, 1, 2), np.int64))
    again = pickle.loads(pickle.dumps(graph.edges[(0, 0), (1, 0)]))
    assert type(again) is dict
    assert again == {"wavelets": 2}


def test_arrays_of_other_shapes_are_refused() -> None:
    mesh = Mesh(3, 2)
    with pytest.raises(WseError, match=r"links of shape \(4, 3, 2\): \(4, 2, 3\) is the mesh's"):
        mesh.with_links(np.zeros((4, 3, 2), np.int64))
    with pytest.raises(WseError, match=r"node attribute cycles of shape \(3, 2\): \(2, 3\) is the mesh's"):
        mesh.with_links(np.zeros((4, 2, 3), np.int64), {"cycles": np.zeros((3, 2))})


def test_directions_go_where_their_names_say() -> None:
    assert [way.name for way in DIRECTIONS] == ["EAST", "WEST", "NORTH", "SOUTH"]
    assert [way.step for way in DIRECTIONS] == [(1, 0), (-1, 0), (0, -1), (0, 1)]
    assert [way.opposite.name for way in DIRECTIONS] == ["WEST", "EAST", "SOUTH", "NORTH"]


def test_a_whole_wafer_is_a_graph_at_once_and_of_no_size() -> None:
    """893,064 nodes in under 50 ms and a few KB; five times the time is allowed for a busy machine."""
    spec = load_wafer("wse3")
    Mesh(2, 2).graph.number_of_edges()  # what networkx sets up once
    tracemalloc.start()
    started = time.perf_counter()
    graph = Mesh.from_spec(spec, whole_fabric=True).graph
    counts = graph.number_of_nodes(), graph.number_of_edges(), graph.size()
    seconds, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts == (893_064, 761 * 1172 + 762 * 1171, 761 * 1172 + 762 * 1171)
    assert seconds < 5 * 0.05
    assert peak < 8 * 1024


def test_a_whole_wafer_is_searched_where_the_search_goes() -> None:
    mesh = Mesh.from_spec(load_wafer("wse3"), whole_fabric=True)
    links = np.zeros((4, mesh.rows, mesh.columns), np.int64)
    links[0, 600, 400] = 7
    graph, _ = mesh.with_links(links)
    assert nx.shortest_path_length(graph, (380, 590), (401, 611)) == 42
    assert graph.edges[(400, 600), (401, 600)]["wavelets"] == 7
    assert [graph.degree[pe] for pe in ((0, 0), (761, 5), (400, 1171), (400, 600))] == [2, 3, 3, 4]


@settings(max_examples=20)
@given(seed=st.integers(0, 9), rate=st.sampled_from([0.0, 0.01, 0.2, 1.0]), clustered=st.booleans())
def test_edges_are_counted_around_many_defects(seed: int, rate: float, clustered: bool) -> None:
    mesh = Mesh(40, 30, defects=Defects.random(40, 30, rate, seed, clustered=clustered))
    assert mesh.graph.number_of_edges() == plain(mesh).number_of_edges() == len(mesh.graph.edges)

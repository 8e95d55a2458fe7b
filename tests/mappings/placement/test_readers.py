"""Problems from the files of others."""

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from wse_emu.errors import WseError
from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.readers import (
    core_graph_problem,
    graph_problem,
    qaplib_problem,
    read_problem,
    square_mesh,
    suite,
)

MESH = "0 1 1 2\n1 0 2 1\n1 2 0 1\n2 1 1 0"
FLOWS = "0 5 0 1\n5 0 2 0\n0 2 0 3\n1 0 3 0"


@pytest.mark.parametrize("text", [f"4\n{MESH}\n{FLOWS}", f"4\n\n{FLOWS}\n\n{MESH}"])
def test_either_matrix_may_be_the_mesh(text: str) -> None:
    problem = qaplib_problem(text, "four")
    assert (problem.columns, problem.rows, len(problem.blocks)) == (2, 2, 4)
    cost = Evaluator(problem).costs(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]))["cost"]
    assert cost == 2 * (5 * 1 + 2 * 2 + 3 * 1 + 1 * 2), "both directions count, as in QAPLIB"


@pytest.mark.parametrize(
    ("name", "shape", "blocks"),
    [("nug30", (6, 5), 30), ("sko42", (7, 6), 42), ("sko64", (8, 8), 64), ("sko100a", (10, 10), 100)],
)
def test_the_shipped_instances_are_meshes(name: str, shape: tuple[int, int], blocks: int) -> None:
    problem = read_problem(Path(name))
    assert (problem.columns, problem.rows) == shape
    assert len(problem.blocks) == blocks


def test_the_shipped_core_graphs_have_the_published_volume_and_cost_of_the_identity() -> None:
    """best_found.txt of the collection: total volume, and the cost of core i on place i."""
    for name, mesh, volume, identity in (
        ("VOPD", (4, 4), 3730, 7139),
        ("MWD", (3, 4), 1120, 1856),
        ("PIP", (3, 3), 576, 1024),
    ):
        problem = read_problem(Path(name), (mesh[1], mesh[0]))
        cells = np.arange(len(problem.blocks))
        y, x = np.divmod(cells, problem.columns)
        assert sum(flow.wavelets for flow in problem.flows) == volume
        assert Evaluator(problem).costs(x, y)["hop_wavelets"] == identity


def test_the_suite_says_where_each_is_from() -> None:
    said = (next(iter(suite().values())).parent / "SOURCES.md").read_text("utf-8")
    for path in suite().values():
        assert f"*{path.suffix}" in said or f"*_ctg-0{path.suffix}" in said, path
    assert {"nug30", "sko100a", "VOPD", "ispd-A"} <= suite().keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 numbers"),
        ("2 0 1 1 0 0 1 1", "8 numbers; n = 2 and two matrices of n × n make 9"),
        ("2\n0 1 1 0\n0 x 1 0", "four, line 3: 'x' is no number"),
        ("2 0 3 3 0 0 5 5 0", "neither matrix is the Manhattan distance of a mesh"),
    ],
)
def test_wrong_qaplib_is_refused(text: str, said: str) -> None:
    with pytest.raises(WseError, match=said):
        qaplib_problem(text, "four", "four")


def test_wrong_core_graphs_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WseError, match="graph, line 2: '0 1' is no `source target volume`"):
        core_graph_problem("0 1 5\n0 1", "g", where="graph")
    with pytest.raises(WseError, match="graph: has no flows"):
        core_graph_problem("# nothing", "g", where="graph")
    with pytest.raises(WseError, match=r"need 3 PEs at least, 2 are free"):
        core_graph_problem("0 2 5", "g", (2, 1))
    (tmp_path / "a.xyz").write_text("", "utf-8")
    with pytest.raises(WseError, match="unknown kind of file"):
        read_problem(tmp_path / "a.xyz")
    with pytest.raises(WseError, match=r"cannot be read .* one of .*nug30"):
        read_problem(tmp_path / "missing.dat")


def test_a_networkx_graph_becomes_blocks_and_flows() -> None:
    graph = nx.path_graph(["a", "b", "c"])
    graph["a"]["b"]["weight"] = 7
    problem = graph_problem(graph, 3, 1)
    assert [block.name for block in problem.blocks] == ["a", "b", "c"]
    assert [(f.source, f.targets, f.wavelets) for f in problem.flows] == [(0, (1,), 7.0), (1, (2,), 1.0)]


def test_the_default_mesh_is_nearly_square() -> None:
    assert [square_mesh(n) for n in (1, 2, 8, 12, 16, 17)] == [(1, 1), (2, 1), (4, 2), (4, 3), (4, 4), (5, 4)]

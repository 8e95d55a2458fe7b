"""Placement problems from the files of others: QAPLIB, core graphs of networks on chip, networkx graphs."""

from importlib.resources import files
from math import isqrt
from pathlib import Path

import networkx as nx
import numpy as np

from wse_emu.errors import WseError
from wse_emu.mappings.placement.kgraph import kgraph_problem
from wse_emu.mappings.placement.problem import Block, Flow, PlacementProblem

SUITE = Path(str(files("wse_emu.mappings.placement"))) / "suite"
"""The shipped problems; its SOURCES.md says where each is from."""


def suite() -> dict[str, Path]:
    """Shipped problems that can be read, by name."""
    return {_suite_name(path): path for path in sorted(SUITE.glob("*")) if path.suffix in {".dat", ".txt", ".kgraph"}}


def _suite_name(path: Path) -> str:
    """The core graph VOPD, QAPLIB's nug30, case A of ISPD 2020 as ispd-A."""
    return f"ispd-{path.stem}" if path.suffix == ".kgraph" else path.stem.removesuffix("_ctg-0")


def read_problem(path: Path, mesh: tuple[int, int] | None = None) -> PlacementProblem:
    """The problem in a file or, by name, a shipped one.

    JSON of this project, QAPLIB ``.dat``, ISPD 2020 ``.kgraph``, or a core graph ``.txt``.

    ``mesh`` (columns, rows) is that of a core graph. Raises WseError, naming file and line.
    """
    path = suite().get(str(path), path)
    name = _suite_name(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        works = f"a file, or one of {', '.join(suite())}, works"
        raise WseError(f"{path}: cannot be read ({reason}); {works}") from None
    if path.suffix == ".json":
        return PlacementProblem.from_json(text, str(path))
    if path.suffix == ".dat":
        return qaplib_problem(text, name, str(path))
    if path.suffix == ".kgraph":
        return kgraph_problem(text, name, str(path))
    if path.suffix == ".txt":
        return core_graph_problem(text, name, mesh, str(path))
    raise WseError(f"{path}: unknown kind of file; .json, .dat (QAPLIB), .kgraph (ISPD) and .txt (core graph) work")


def kgraph_text(path: Path) -> str | None:
    """The text of a ``.kgraph`` file or, by name, of a shipped one; None for other kinds."""
    path = suite().get(str(path), path)
    return path.read_text("utf-8") if path.suffix == ".kgraph" else None


def qaplib_problem(text: str, name: str, where: str = "QAPLIB") -> PlacementProblem:
    """Σ A[i, j] · B[p(i), p(j)] where A or B is the Manhattan distance of a mesh, numbered row by row.

    Format: n, A, B (Burkard, Karisch and Rendl, 1997). A cost is that of QAPLIB: both directions count.
    """
    numbers = _numbers(text, where)
    n = int(numbers[0]) if numbers.size else 0
    if n < 1 or numbers.size != 1 + 2 * n * n:
        raise WseError(f"{where}: {numbers.size} numbers; n = {n} and two matrices of n × n make {1 + 2 * n * n}")
    matrices = numbers[1:].reshape(2, n, n)
    for distance, flow in (matrices, matrices[::-1]):
        shape = _mesh_of(distance)
        if shape is not None:
            return _assignment(name, flow, *shape)
    raise WseError(f"{where}: neither matrix is the Manhattan distance of a mesh")


def _numbers(text: str, where: str) -> np.ndarray:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for word in line.split():
            try:
                found.append(float(word))
            except ValueError:
                raise WseError(f"{where}, line {number}: {word[:40]!r} is no number") from None
    return np.array(found)


def _mesh_of(distance: np.ndarray) -> tuple[int, int] | None:
    """(columns, rows) of the mesh whose distances these are."""
    n = len(distance)
    for columns in range(1, n + 1):
        if n % columns == 0:
            y, x = np.divmod(np.arange(n), columns)
            if (distance == np.abs(x[:, None] - x) + np.abs(y[:, None] - y)).all():
                return columns, n // columns
    return None


def _assignment(name: str, flow: np.ndarray, columns: int, rows: int) -> PlacementProblem:
    blocks = tuple(Block(f"{i}") for i in range(len(flow)))
    flows = tuple(Flow(int(i), (int(j),), float(flow[i, j])) for i, j in np.argwhere(flow))
    return PlacementProblem(name, blocks, flows, columns, rows)


def core_graph_problem(
    text: str, name: str, mesh: tuple[int, int] | None = None, where: str = "core graph"
) -> PlacementProblem:
    """``source target volume`` a line. Without ``mesh`` (columns, rows), the most nearly square one that holds all."""
    flows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            source, target, volume = line.split()
            flows.append(Flow(int(source), (int(target),), float(volume)))
        except ValueError:
            raise WseError(f"{where}, line {number}: {line[:60]!r} is no `source target volume`") from None
    if not flows:
        raise WseError(f"{where}: has no flows")
    cores = 1 + max(end for flow in flows for end in (flow.source, *flow.targets))
    columns, rows = mesh or square_mesh(cores)
    return PlacementProblem(name, tuple(Block(f"core {i}") for i in range(cores)), tuple(flows), columns, rows)


def square_mesh(blocks: int) -> tuple[int, int]:
    """(columns, rows) of the smallest mesh that is square, or one column longer, and holds ``blocks`` PEs."""
    rows = isqrt(blocks)
    columns = -(-blocks // rows)
    return columns, rows


def graph_problem(graph: nx.Graph, columns: int, rows: int, name: str = "graph") -> PlacementProblem:
    """A block of one PE a node, a flow of ``weight`` wavelets an edge."""
    index = {node: i for i, node in enumerate(graph)}
    edges = graph.edges(data="weight", default=1.0)
    flows = tuple(Flow(index[a], (index[b],), float(weight)) for a, b, weight in edges)
    return PlacementProblem(name, tuple(Block(str(node)) for node in graph), flows, columns, rows)

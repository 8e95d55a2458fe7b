"""`wse-emu export`: a run in the formats of others: CSV, GraphML, the log lines of the vendor's simulator."""

import io
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np

from wse_emu.errors import WseError
from wse_emu.fabric.directions import DIRECTIONS
from wse_emu.report.folder import check_parent, write_bytes
from wse_emu.report.run.reader import Run, load_arrays, load_run
from wse_emu.report.run.wavelets import log_lines

WAVELETS = "wavelets.npz"


def run_export(folder: Path, kind: str, out: Path) -> None:
    """Write the run in ``folder`` as ``kind`` of :data:`KINDS`; WseError for what the user got wrong."""
    if kind not in KINDS:
        raise WseError(f"--as {kind}: {', '.join(KINDS)} work")
    check_parent(out, "--out")
    write_bytes(out, KINDS[kind](load_run(folder)))


def as_csv(run: Run) -> bytes:
    """The steps, with a line of names first."""
    import pyarrow as pa
    from pyarrow import csv

    table = run.steps()
    words = pa.schema(
        [(one.name, pa.string() if pa.types.is_dictionary(one.type) else one.type) for one in table.schema]
    )
    sink = io.BytesIO()
    csv.write_csv(table.cast(words), sink)
    return sink.getvalue()


def as_graphml(run: Run) -> bytes:
    """A directed graph of the PEs in use; its edges are the links that carried wavelets."""
    sink = io.BytesIO()
    nx.write_graphml_xml(traffic_graph(run), sink)
    return sink.getvalue()


def traffic_graph(run: Run) -> "nx.DiGraph":
    """Nodes "x,y" with ``x``, ``y``, ``region``, ``busy_cycles``, ``wait_cycles``, ``sram_bytes``.

    Edges have ``wavelets``.
    """
    arrays, graph = run.arrays, nx.DiGraph(name=f"{run.decode.model} on {run.decode.wafer.name}")
    names = _region_of(run)
    for y, x in np.argwhere((arrays["sram_bytes"] > 0) | _touched(arrays["links"])).tolist():
        held = {name: int(arrays[name][y, x]) for name in ("busy_cycles", "wait_cycles", "sram_bytes")}
        graph.add_node(f"{x},{y}", x=x, y=y, region=names.get((y, x), ""), **held)
    for way in DIRECTIONS:
        dx, dy = way.step
        for y, x in np.argwhere(arrays["links"][way] > 0).tolist():
            graph.add_edge(f"{x},{y}", f"{x + dx},{y + dy}", wavelets=int(arrays["links"][way, y, x]))
    return graph


def _touched(links: np.ndarray) -> np.ndarray:
    """PEs that a wavelet left or came to, bool ``[rows, columns]``."""
    came = [np.roll(links[way] > 0, way.step[::-1], axis=(0, 1)) for way in DIRECTIONS]  # none leaves the mesh
    return np.asarray(np.logical_or.reduce([*(links > 0), *came]))


def _region_of(run: Run) -> dict[tuple[int, int], str]:
    """The region's name by (row, column)."""
    return {
        (y, x): name
        for name, region in run.decode.regions.items()
        for y in range(region.y, region.y + region.height)
        for x in range(region.x, region.x + region.width)
    }


def as_sdk_log(run: Run) -> bytes:
    """A line for every landing and move of the recorded token's wavelets."""
    path = run.path / WAVELETS
    if not path.exists():
        raise WseError(
            f"{run.path}: no wavelets were recorded: wse-emu decode --engine wavelet --trace FILE --out DIR records "
            "those of the first token"
        )
    return "".join(f"{line}\n" for line in log_lines(load_arrays(path))).encode("utf-8")


KINDS: dict[str, Callable[[Run], bytes]] = {"csv": as_csv, "graphml": as_graphml, "sdk-log": as_sdk_log}

"""A run in the formats of others, read back by others."""

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import jsonschema
import networkx as nx
import numpy as np
import pandas as pd
import pytest

from tests.engines.test_wafer_clock import SPEC, pipeline, shared
from tests.report.chrome_trace import CHROME_TRACE
from tests.report.test_run_folder import decode
from wse_emu.engines.wavelet.recorder import Recorder
from wse_emu.engines.wavelet_clock import WaveletClock
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer
from wse_emu.program import Program
from wse_emu.report import Run, load_run
from wse_emu.report.run.export import run_export
from wse_emu.report.run.wavelets import log_lines, wavelet_arrays

LANDING = re.compile(r"@(\d+) P(\d+)\.(\d+) \(hwtile\) landing C(\d+) from link ([NSEWR]), .*ident=(0x[0-9a-f]+)")
WAVELET = re.compile(
    r"@(\d+) P(\d+)\.(\d+) \(hwtile\) wavelet C(\d+) ctrl=0, idx=0x[0-9a-f]{4}, data=0x[0-9a-f]{4} \(0\), half=0, "
    r"ident=(0x[0-9a-f]+) landing=([NSEWR]) departing=/([E ][N ][W ][S ][R ])/"
)
STEP = {"E": (1, 0), "W": (-1, 0), "N": (0, -1), "S": (0, 1)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(decode(tmp_path_factory.mktemp("run"), "--tokens", "2", "--wafer", "mini", "--grid", "16x16"))


def exported(run: Run, kind: str, folder: Path) -> Path:
    run_export(run.path, kind, folder / "out")
    return folder / "out"


PROGRAMS: dict[str, Callable[[], Program]] = {
    "a layer": lambda: Program("a layer", shared().steps[:3]),
    "shared": shared,
    "pipeline": pipeline,
}


@pytest.fixture(
    scope="module", params=["a layer", *(pytest.param(name, marks=pytest.mark.slow) for name in ("shared", "pipeline"))]
)
def recorded(request: pytest.FixtureRequest) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The wavelets of a token, and what the engine counted on the links of the wafer."""
    clock = WaveletClock(PROGRAMS[request.param](), SPEC, recorder=Recorder(10**6))
    timing = clock.token(0)
    assert clock.recorded is not None
    assert clock.recorder is not None
    return wavelet_arrays(clock.recorded[0], clock.recorder), clock.links([timing])


def test_recorded_wavelets_are_those_of_the_links(recorded: tuple[dict[str, np.ndarray], np.ndarray]) -> None:
    held, links = recorded
    counted = np.zeros_like(links)
    for way in range(4):
        there = (held["departing"] >> way & 1).astype(bool)
        np.add.at(counted[way], (held["y"][there], held["x"][there]), 1)
    np.testing.assert_array_equal(counted, links)
    assert (held["landed"] <= held["cycle"]).all()
    assert held["cut"].tolist() == [-1]


def test_log_lines_follow_every_wavelet_from_router_to_router(
    recorded: tuple[dict[str, np.ndarray], np.ndarray],
) -> None:
    replay(log_lines(recorded[0]), SPEC.hop_cycles)


def replay(lines: Iterable[str], hop: int) -> None:
    """As a viewer does: a wavelet lands one hop behind a router that let it depart in that direction."""
    due: set[tuple[str, ...]] = set()
    landed: set[tuple[str, ...]] = set()
    cycle = 0
    for line in lines:
        if found := LANDING.match(line):
            time, x, y, color, link, ident = found.groups()
            landed.add((x, y, color, ident, link))
            assert link == "R" or (time, x, y, color, ident, link) in due
        else:
            found = WAVELET.fullmatch(line.rstrip("\n"))
            assert found, line
            time, x, y, color, ident, link, ways = found.groups()
            landed.remove((x, y, color, ident, link))
            for way in ways.replace(" ", "").replace("R", ""):
                dx, dy = STEP[way]
                there = str(int(time) + hop), str(int(x) + dx), str(int(y) + dy)
                due.add((*there, color, ident, "EWNS"["WESN".index(way)]))
        assert int(time) >= cycle, "by cycle"
        cycle = int(time)
    assert cycle
    assert not landed, "every wavelet that lands moves on"


@pytest.mark.slow
def test_a_decode_that_is_traced_can_be_replayed(tmp_path: Path) -> None:
    options = ("--engine", "wavelet", "--trace", str(tmp_path / "trace.json.gz"), "--wafer", "mini", "--grid", "16x16")
    run = load_run(decode(tmp_path / "run", "--tokens", "1", *options))
    with exported(run, "sdk-log", tmp_path).open(encoding="utf-8") as lines:
        replay(lines, load_wafer("mini").hop_cycles)
    trace = json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
    jsonschema.validate(trace, CHROME_TRACE)


def test_csv_has_the_steps(run: Run, tmp_path: Path) -> None:
    path = exported(run, "csv", tmp_path)
    steps = pd.read_parquet(run.path / "steps.parquet")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(steps.columns)
    assert [int(row["end_cycle"]) for row in rows] == steps["end_cycle"].tolist()
    assert [row["kernel"] for row in rows] == steps["kernel"].tolist()
    assert [float(row["idle_cycles"]) for row in rows] == pytest.approx(steps["idle_cycles"].tolist())


def test_networkx_reads_the_traffic(run: Run, tmp_path: Path) -> None:
    graph = nx.read_graphml(exported(run, "graphml", tmp_path))
    assert sum(wavelets for _, _, wavelets in graph.edges(data="wavelets")) == run.decode.wavelet_hops
    assert graph.number_of_edges() == (run.arrays["links"] > 0).sum()
    region = next(iter(run.decode.regions.values()))
    inside = [node for node, name in graph.nodes(data="region") if name]
    assert len(inside) == region.width * region.height
    assert sum(size for _, size in graph.nodes(data="sram_bytes")) == run.decode.sram.used_bytes
    for start, end in graph.edges:
        (x, y), (to_x, to_y) = ([graph.nodes[node][axis] for axis in "xy"] for node in (start, end))
        assert abs(x - to_x) + abs(y - to_y) == 1


def test_what_cannot_be_exported_is_one_line(run: Run, tmp_path: Path) -> None:
    with pytest.raises(WseError, match="--as svg: csv, graphml, sdk-log work"):
        run_export(run.path, "svg", tmp_path / "out")
    with pytest.raises(WseError, match="nowhere must exist"):
        run_export(run.path, "csv", tmp_path / "nowhere" / "out")
    with pytest.raises(WseError, match=r"run\.json: cannot be read"):
        run_export(tmp_path, "csv", tmp_path / "out")
    with pytest.raises(WseError, match="no wavelets were recorded"):
        run_export(run.path, "sdk-log", tmp_path / "out")

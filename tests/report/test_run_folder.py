"""What a decode leaves: every file holds the same run, and others can read it."""

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.test_wafer_clock import SPEC, pipeline
from tests.oracle import random_models
from tests.report.chrome_trace import CHROME_TRACE
from wse_emu.cli import main
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.errors import WseError
from wse_emu.report import Run, load_run
from wse_emu.report.run.schema import BusiestLink, Colors, DecodeReport, RegionReport, RunFacts
from wse_emu.report.run.steps import UNITS, token_steps
from wse_emu.report.run.timeline import timeline
from wse_emu.report.run.typed import read, write

DOCS = Path(__file__).parents[2] / "docs" / "run-folder.md"
RUNS = {
    "shared": ("--tokens", "4", "--wafer", "mini", "--grid", "16x16"),
    "pipeline": ("--tokens", "3", "--mapping", "pipeline", "--placement", "snake"),
    "sampled": ("--tokens", "4", "--temperature", "1", "--seed", "3"),
}


def decode(folder: Path, *arguments: str) -> Path:
    """`wse-emu decode ARGUMENTS --out FOLDER` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["wse-emu", "decode", "--json", "--out", str(folder), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code
    return folder


@pytest.fixture(scope="module", params=["shared", "pipeline", pytest.param("sampled", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(decode(tmp_path_factory.mktemp("run") / request.param, *RUNS[request.param]))


def trace_events(run: Run) -> list[dict[str, Any]]:
    return _events(run.path / "trace.json.gz")


@cache
def _events(path: Path) -> list[dict[str, Any]]:
    trace = json.loads(gzip.decompress(path.read_bytes()))
    jsonschema.validate(trace, CHROME_TRACE)
    events: list[dict[str, Any]] = trace["traceEvents"]
    return events


def test_the_report_reads_as_types_and_comes_back_as_it_was(run: Run) -> None:
    written = json.loads((run.path / "report.json").read_text("utf-8"))
    assert run.as_json() == written
    assert written["schema"] == 1
    assert run.decode.other == {}, "a field that report/run/schema.py and the docs lack"
    assert len(run.decode.cycles_per_token) == len(run.decode.token_ids)
    assert not list(run.path.glob(".*")), "no partial file is left"


def test_run_json_says_what_was_run(run: Run) -> None:
    facts = run.facts
    assert facts.command == "decode"
    assert facts.arguments[:2] == ["decode", "--json"]
    assert {"wse_emu", "python", "numpy"} <= set(facts.versions)
    assert facts.model is not None
    assert facts.mapping is not None
    assert facts.wafer is not None
    assert all(re.fullmatch("[0-9a-f]{64}", one.sha256) for one in (facts.model, facts.mapping, facts.wafer))
    assert facts.levels["cycles"] == run.decode.level == "timing model"
    assert facts.seed == facts.options["seed"]


def test_pandas_and_polars_read_the_same_steps(run: Run) -> None:
    path = run.path / "steps.parquet"
    one, other = pd.read_parquet(path), pl.read_parquet(path)
    assert list(one.columns) == other.columns == list(UNITS)
    assert len(one) == len(other) == run.steps().num_rows
    for name in UNITS:
        assert one[name].astype(object).tolist() == other[name].to_list()
    assert json.loads(run.steps().schema.metadata[b"units"]) == UNITS


def test_steps_add_up_to_the_report(run: Run) -> None:
    steps, report = pd.read_parquet(run.path / "steps.parquet"), run.decode
    assert steps["end_cycle"].max() == sum(report.cycles_per_token)
    assert steps["start_cycle"].min() == 0
    assert steps.groupby("token")["end_cycle"].max().diff().dropna().tolist() == report.cycles_per_token[1:]
    assert steps["wavelet_hops"].sum() == report.wavelet_hops
    causes = steps[["work_cycles", "fabric_cycles", "host_cycles", "wait_cycles"]].sum(axis=1)
    assert (causes == steps["end_cycle"] - steps["start_cycle"]).all()
    assert set(steps["region"]) == set(report.regions)
    for name, region in report.regions.items():
        here = steps[steps["region"] == name]
        assert set(here["layer"]) - {-1} <= {*region.layers} | {layer + 1 for layer in region.layers} | {0}
        assert set(region.kernels) <= set(here["kernel"])
        assert (here["start_cycle"].iloc[1:].to_numpy() == here["end_cycle"].iloc[:-1].to_numpy()).all()
    if len(report.regions) == 1:
        cycles = steps.assign(c=steps["end_cycle"] - steps["start_cycle"]).groupby("kernel", observed=True)["c"].sum()
        means = {name: count / len(report.token_ids) for name, count in cycles.items()}
        assert means == pytest.approx(report.cycles_by_kernel)


def test_arrays_are_those_of_the_report(run: Run) -> None:
    arrays, report = run.arrays, run.decode
    shape = (report.wafer.rows, report.wafer.columns)
    assert {name: held.shape for name, held in arrays.items()} == {
        "links": (4, *shape),
        "wavelets": shape,
        "busy_cycles": shape,
        "wait_cycles": shape,
        "sram_bytes": shape,
    }
    assert all(held.dtype == np.int64 for held in arrays.values())
    link = report.busiest_link
    assert arrays["links"]["EWNS".index(link.towards), link.y, link.x] == arrays["links"].max() == link.wavelets
    assert arrays["wavelets"].sum() == report.wavelet_hops
    assert arrays["sram_bytes"].sum() == report.sram.used_bytes
    assert arrays["sram_bytes"].max() == report.sram.max_pe_bytes
    used = np.zeros(shape, dtype=bool)
    for region in report.regions.values():
        used[region.y : region.y + region.height, region.x : region.x + region.width] = True
        assert sum(region.memory.values()) == arrays["sram_bytes"][region.y, region.x]
        held = sum(tensor.bytes for tensor in region.tensors)
        assert held == region.memory["weights"] + region.memory["kv_cache"]
    total = arrays["busy_cycles"] + arrays["wait_cycles"]
    assert (total[used] == sum(report.cycles_per_token)).all()
    assert not total[~used].any()
    assert arrays["busy_cycles"].min() >= 0
    assert arrays["wait_cycles"].min() >= 0


def test_the_trace_is_valid_and_as_long_as_the_report_says(run: Run) -> None:
    events = trace_events(run)
    slices = [event for event in events if event["ph"] == "X"]
    total = sum(run.decode.cycles_per_token)
    assert max(event["ts"] + event["dur"] for event in slices) == total
    assert min(event["ts"] for event in slices) == 0
    tokens = [event for event in slices if event["tid"] == 1]
    assert [event["dur"] for event in tokens] == run.decode.cycles_per_token
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert list(tracks.values()) == ["tokens", *run.decode.regions]


def test_slices_of_a_track_follow_or_hold_each_other(run: Run) -> None:
    open_until: dict[int, list[int]] = {}
    slices = (event for event in trace_events(run) if event["ph"] == "X")
    for event in sorted(slices, key=lambda e: (e["tid"], e["ts"], -e["dur"])):
        begin, end, around = event["ts"], event["ts"] + event["dur"], open_until.setdefault(event["tid"], [])
        while around and around[-1] <= begin:
            around.pop()
        assert not around or end <= around[-1]
        around.append(end)


def test_arrows_lead_from_a_slice_that_sends_to_one_that_receives(run: Run) -> None:
    events = trace_events(run)
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    regions = len(run.decode.regions)
    assert set(starts) == set(ends)
    assert len(starts) == (regions * len(run.decode.token_ids) if regions > 1 else 0)
    slices = [event for event in events if event["ph"] == "X"]
    for name, start in starts.items():
        end = ends[name]
        assert start["ts"] <= end["ts"]
        for one in (start, end):
            assert any(s["tid"] == one["tid"] and s["ts"] <= one["ts"] < s["ts"] + s["dur"] for s in slices)


@pytest.mark.slow
def test_steps_say_exactly_when_where_the_engine_does(tmp_path: Path) -> None:
    exact = load_run(decode(tmp_path, "--tokens", "1", "--engine", "wavelet", "--grid", "8x16"))
    steps = pd.read_parquet(tmp_path / "steps.parquet")
    assert steps["end_cycle"].max() == sum(exact.decode.cycles_per_token)
    assert steps["wavelet_hops"].sum() == exact.decode.wavelet_hops
    assert steps["idle_cycles"].isna().all(), "only the latest PE is known"
    assert exact.facts.levels["cycles"] == "cycle-exact"


def test_the_docs_name_every_field_and_column() -> None:
    text = DOCS.read_text("utf-8")
    fields = {*DecodeReport.__dataclass_fields__, *RunFacts.__dataclass_fields__} - {"other"}
    missing = [name for name in (*fields, *UNITS, "links", "busy_cycles", "sram_bytes") if f"`{name}`" not in text]
    assert not missing


WRONG = {
    "no folder": (None, None, "run.json: cannot be read (No such file or directory)"),
    "not JSON": ("run.json", "{", "run.json: not JSON"),
    "no object": ("run.json", "[]", "run.json: has no schema"),
    "schema 0": ("run.json", '{"schema": 0}', "run.json: has no schema"),
    "newer": ("report.json", '{"schema": 2}', "schema 2, and this wse-emu reads up to 1: a newer wse-emu works"),
    "another command's": ("report.json", '{"schema": 1, "command": "place"}', "report.json of `place`"),
    "a field too few": ("report.json", '{"schema": 1, "command": "decode"}', "report.json: 'model' is missing"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = decode(tmp_path_factory.mktemp("finished"), *RUNS["shared"])
    return {name: (folder / name).read_text("utf-8") for name in ("run.json", "report.json")}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, finished: dict[str, str], wrong: str) -> None:
    name, text, said = WRONG[wrong]
    for one, held in finished.items():
        if name is not None:
            (tmp_path / one).write_text(held, "utf-8")
    if name is not None and text is not None:
        (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(WseError, match=re.escape(said)) as error:
        load_run(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"token_ids": "4"}, "report.json.token_ids: list expected, got str"),
        ({"sram": {}}, "report.json.sram: 'used_bytes' is missing"),
        ({"wavelet_hops": True}, "report.json.wavelet_hops: int expected, got bool"),
        ({"busiest_link": {"x": 1, "y": 1, "towards": "E", "wavelets": 1, "z": 1}}, "'z' is not known here"),
    ],
)
def test_a_field_of_another_type_is_named(
    tmp_path: Path, finished: dict[str, str], change: dict[str, object], said: str
) -> None:
    (tmp_path / "run.json").write_text(finished["run.json"], "utf-8")
    (tmp_path / "report.json").write_text(json.dumps(json.loads(finished["report.json"]) | change), "utf-8")
    with pytest.raises(WseError, match=re.escape(said)):
        load_run(tmp_path)


def test_what_a_later_program_adds_within_the_schema_is_kept(tmp_path: Path, finished: dict[str, str]) -> None:
    more = json.loads(finished["report.json"]) | {"joules": 3.5}
    (tmp_path / "run.json").write_text(finished["run.json"], "utf-8")
    (tmp_path / "report.json").write_text(json.dumps(more), "utf-8")
    run = load_run(tmp_path)
    assert run.decode.other == {"joules": 3.5}
    assert run.as_json() == more


@given(st.from_type(RegionReport) | st.from_type(Colors) | st.from_type(BusiestLink))
def test_any_part_comes_back_from_json_as_it_was(part: RegionReport | Colors | BusiestLink) -> None:
    assert read(type(part), json.loads(json.dumps(write(part))), "part") == part


def test_a_trace_that_would_grow_too_large_leaves_out_steps_and_then_later_kernels() -> None:
    engine = TimingEngine(pipeline(), SPEC, record=True)
    timing = engine.token(0)
    assert timing.steps is not None
    tokens, rows = token_steps([timing] * 6), timing.steps.rows
    names = {region: f"region {i}" for i, region in enumerate(dict.fromkeys(rows.region))}
    sizes = {}
    for limit in (10**6, 6 * len(rows) - 1, 100):
        events = list(timeline(tokens, names, limit))
        jsonschema.validate({"traceEvents": events}, CHROME_TRACE)
        slices = [event for event in events if event["ph"] == "X"]
        assert sum(event["dur"] for event in slices if event["tid"] == 1) == 6 * timing.cycles
        sizes[limit] = len(slices), len({event["args"].get("token", 0) for event in slices if event["tid"] > 1})
    (whole, all_tokens), (kernels, every), (few, some) = sizes.values()
    assert whole > 2 * kernels > 4 * few
    assert (all_tokens, every, some) == (6, 6, 1)


def test_broken_tables_are_one_line(tmp_path: Path, finished: dict[str, str]) -> None:
    for name, text in finished.items():
        (tmp_path / name).write_text(text, "utf-8")
    run = load_run(tmp_path)
    for name in ("steps.parquet", "links.npz"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 no such thing")
    with pytest.raises(WseError, match=r"steps.parquet: cannot be read"):
        run.steps()
    with pytest.raises(WseError, match=r"links.npz: cannot be read"):
        _ = run.arrays


@pytest.mark.parametrize("lie", [pytest.param("sharded", marks=pytest.mark.slow), "regions"])
def test_a_run_s_folder_has_every_region_and_the_steps_of_the_experts_met(lie: str, tmp_path: Path) -> None:
    random_models.saved(random_models.make("mixtral"), tmp_path / "mixtral")
    options = ("--mapping", "pipeline", "--experts", lie, "--tokens", "3", "--prompt-ids", "1,2,3")
    found = load_run(decode(tmp_path / "run", "--model", str(tmp_path / "mixtral"), *options))
    report, steps = found.decode, pd.read_parquet(tmp_path / "run" / "steps.parquet").to_dict("records")
    assert {row["region"] for row in steps} <= report.regions.keys()
    for token in range(len(report.cycles_per_token)):
        here = [row for row in steps if row["token"] == token]
        assert max(row["end_cycle"] for row in here) == sum(report.cycles_per_token[: token + 1])
        if lie == "regions":
            met = {row["region"] for row in here if "expert " in row["region"]}
            assert len(met) == 2 * len({region.split(",")[0] for region in met}), "two experts in each layer"
    arrays = found.arrays
    assert arrays["wait_cycles"].min() >= 0
    assert sum(row["wavelet_hops"] for row in steps) == arrays["links"].sum() == report.wavelet_hops
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000

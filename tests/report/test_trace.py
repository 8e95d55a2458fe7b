"""The Perfetto trace of a cycle-exact token."""

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.engines.test_wafer_clock import SPEC, shared
from tests.report.chrome_trace import CHROME_TRACE
from wse_emu.engines.wavelet.recorder import Recorder
from wse_emu.engines.wavelet_clock import WaveletClock
from wse_emu.report.trace import write_trace


def traced(path: Path, limit: int) -> tuple[list[dict[str, Any]], str, WaveletClock]:
    clock = WaveletClock(shared(), SPEC, recorder=Recorder(limit))
    clock.token(0)
    assert clock.recorded is not None
    assert clock.recorder is not None
    message = write_trace(path, *clock.recorded, clock.recorder)
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return json.loads(text)["traceEvents"], message, clock


@pytest.mark.parametrize("name", ["token.json", "token.json.gz"])
def test_a_trace_holds_every_wavelet_and_all_of_the_token(tmp_path: Path, name: str) -> None:
    events, message, clock = traced(tmp_path / name, 10**6)
    assert "cut" not in message
    slices = [event for event in events if event["ph"] == "X"]
    timing = clock.token(0)
    kernels = [event for event in slices if event["pid"] == 1]
    assert max(event["ts"] + event["dur"] for event in kernels) == timing.cycles
    assert sum(event["dur"] for event in kernels) == timing.cycles, "one kernel after another, without a gap"
    streams = [event for event in slices if event["pid"] == 2 and event["name"] != "waits"]
    counted = sum(event["args"]["wavelets"] for event in streams)
    loads = [event["args"]["count"] * 32 for event in events if event["ph"] == "C"]
    assert counted == sum(loads) > clock.links([timing]).sum(), "moves into PEs come on top of those over links"


def test_events_have_what_the_chrome_format_asks_for(tmp_path: Path) -> None:
    events, _, _ = traced(tmp_path / "token.json", 10**6)
    jsonschema.validate({"traceEvents": events[::20]}, CHROME_TRACE)
    named = {(event["pid"], event["tid"]) for event in events if event["ph"] == "M" and event["name"] == "thread_name"}
    for event in events:
        assert event["ph"] in "MXC"
        assert isinstance(event["pid"], int)
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] >= 1
            assert (event["pid"], event["tid"]) in named


def test_slices_of_a_track_do_not_overlap_but_for_waits(tmp_path: Path) -> None:
    events, _, _ = traced(tmp_path / "token.json", 10**6)
    ends: dict[int, int] = {}
    streams = (e for e in events if e["ph"] == "X" and e["pid"] == 2 and e["name"] != "waits")
    for event in sorted(streams, key=lambda e: (e["tid"], e["ts"])):
        assert event["ts"] >= ends.get(event["tid"], 0)
        ends[event["tid"]] = event["ts"] + event["dur"]


def test_a_trace_that_would_grow_too_large_is_cut_and_says_so(tmp_path: Path) -> None:
    events, message, clock = traced(tmp_path / "token.json", 500)
    assert "cut after cycle" in message
    assert f"of {clock.token(0).cycles:,}" in message
    assert sum(event["ph"] == "X" and event["pid"] == 2 for event in events) <= 700

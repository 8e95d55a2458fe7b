"""trace.json.gz: a track per region, kernels and their steps as slices, moves between regions as arrows.

One microsecond of the trace is one cycle. Opens at ui.perfetto.dev and in chrome://tracing;
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU describes the format.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wse_emu.engines.step_times import CAUSES, StepList
from wse_emu.fabric.region import Region
from wse_emu.report.folder import write_bytes
from wse_emu.report.run.steps import TokenSteps

EVENTS = 250_000
"""Slices that a browser still opens at ease; beyond, steps are left out, and then the kernels of later tokens."""
WAFER = 1
"""The process of all tracks."""
TOKENS = 1
"""The track of the tokens; those of the regions follow."""
Event = dict[str, Any]


def write_timeline(path: Path, tokens: Sequence[TokenSteps], names: dict[Region, str]) -> None:
    """Write the trace of all tokens, compressed."""
    text = json.dumps({"traceEvents": list(timeline(tokens, names)), "displayTimeUnit": "ns"}, separators=(",", ":"))
    write_bytes(path, gzip.compress(text.encode("utf-8"), 6, mtime=0))


def timeline(tokens: Sequence[TokenSteps], names: dict[Region, str], limit: int = EVENTS) -> Iterator[Event]:
    """The events: every token, every kernel of it up to ``limit``, and every step if there are no more in all."""
    tracks = {region: TOKENS + 1 + i for i, region in enumerate(names)}
    yield {"ph": "M", "pid": WAFER, "tid": 0, "name": "process_name", "args": {"name": "wafer"}}
    for track, name in [(TOKENS, "tokens"), *((tracks[region], name) for region, name in names.items())]:
        yield {"ph": "M", "pid": WAFER, "tid": track, "name": "thread_name", "args": {"name": name}}
        yield {"ph": "M", "pid": WAFER, "tid": track, "name": "thread_sort_index", "args": {"sort_index": track}}
    for one in tokens:
        yield _slice(TOKENS, f"token {one.token}", one.begin, one.cycles, token=one.token)
    every_step = sum(len(one.times.rows) for one in tokens) <= limit
    shown = 0
    for one in tokens:
        events = list(_token(one, tracks, every_step=every_step))
        shown += len(events)
        if shown > limit and one.token > 0:
            return
        yield from events


def _token(one: TokenSteps, places: dict[Region, int], *, every_step: bool) -> Iterator[Event]:
    rows, causes = one.times.rows, one.times.causes()
    tracks = np.array([places[region] for region in rows.region])
    start, end, waits = one.start, one.end, causes[CAUSES.index("wait")]
    for i in np.flatnonzero(waits).tolist():
        yield _slice(int(tracks[i]), "waits", int(start[i]), int(waits[i]), token=one.token)
    start = start + waits
    yield from _kernels(one, rows, tracks, start, end)
    if every_step:
        yield from _steps(one, rows, tracks, start, causes)
    yield from _flows(one, rows, tracks, end)


def _kernels(
    one: TokenSteps, rows: StepList, tracks: np.ndarray, start: np.ndarray, end: np.ndarray
) -> Iterator[Event]:
    """Rows of one kernel that follow each other on one region."""
    keys = list(zip(tracks.tolist(), rows.layer.tolist(), rows.kernel, strict=True))
    order = np.argsort(tracks, kind="stable").tolist()
    first = 0
    for place in range(1, len(order) + 1):
        if place < len(order) and keys[order[place]] == keys[order[first]]:
            continue
        track, layer, kernel = keys[order[first]]
        begin, stop = int(start[order[first]]), int(end[order[place - 1]])
        if stop > begin:
            yield _slice(track, kernel, begin, stop - begin, token=one.token, layer=layer)
        first = place


def _steps(
    one: TokenSteps, rows: StepList, tracks: np.ndarray, start: np.ndarray, causes: np.ndarray
) -> Iterator[Event]:
    """Every row, inside the slice of its kernel; ``start`` is when it had waited."""
    hops, end = one.times.wavelet_hops, one.end
    for i in np.flatnonzero(end > start).tolist():
        told = {name: int(held[i]) for name, held in zip(CAUSES, causes, strict=True) if held[i] and name != "wait"}
        if hops[i]:
            told["wavelet_hops"] = int(hops[i])
        yield _slice(int(tracks[i]), rows.operation[i], int(start[i]), int(end[i] - start[i]), **told)


def _flows(one: TokenSteps, rows: StepList, tracks: np.ndarray, end: np.ndarray) -> Iterator[Event]:
    """From the last cycle in which a region sends to the last in which the other receives."""
    for i, operation in enumerate(rows.operation):
        if operation == "receive":
            shared = {"pid": WAFER, "cat": "move", "name": rows.kernel[i], "id": one.token * len(rows) + i}
            sent = rows.sender[i]
            yield {"ph": "s", **shared, "tid": int(tracks[sent]), "ts": int(end[sent]) - 1}
            yield {"ph": "f", "bp": "e", **shared, "tid": int(tracks[i]), "ts": int(end[i]) - 1}


def _slice(track: int, name: str, start: int, length: int, **args: int) -> Event:
    return {"ph": "X", "pid": WAFER, "tid": track, "name": name, "ts": start, "dur": length, "args": args}

"""A run of the wavelet engine as a trace for Perfetto or chrome://tracing: streams, waits, and how busy the fabric was.

One microsecond of the trace is one cycle. Every PE and color with traffic is a track; wavelets that follow each other
without a gap are one slice, a head that waits is another. https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
describes the format.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wse_emu.engines.code import FabricProgram
from wse_emu.engines.wavelet import Outcome
from wse_emu.engines.wavelet.recorder import Recorder
from wse_emu.report.folder import write_file

GAP = 3
"""Cycles without a move that end a stream's slice: more than the pause of a link."""
BIN = 32
"""Cycles that one point of the counters stands for."""
KERNELS, STREAMS = 1, 2
Event = dict[str, Any]


def write_trace(path: Path, program: FabricProgram, outcome: Outcome, recorder: Recorder) -> str:
    """Write the trace as JSON, compressed if ``path`` ends with .gz; returns a line that says how much there is."""
    events = list(trace_events(program, outcome, recorder))
    text = json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}, separators=(",", ":"))

    def write(partial: Path) -> None:
        data = text.encode("utf-8")
        partial.write_bytes(gzip.compress(data, 6) if path.suffix == ".gz" else data)

    write_file(path, write)
    whole = f"{len(events):,} events, {path.stat().st_size / 1e6:.1f} MB, opens at ui.perfetto.dev"
    if recorder.cut is None:
        return f"trace of the first token: {whole}"
    return (
        f"trace of the first token, cut after cycle {recorder.cut:,} of {outcome.cycles:,} since it would grow beyond "
        f"{recorder.limit:,} records: {whole}; a smaller --grid shows more"
    )


def trace_events(program: FabricProgram, outcome: Outcome, recorder: Recorder) -> Iterator[Event]:
    """The events of one run, in the Chrome trace format."""
    yield _named("process_name", KERNELS, 0, "kernels and load")
    yield _named("process_name", STREAMS, 0, "PEs: streams and waits by color")
    yield from _kernels(program, outcome)
    moves, waits, ends = (recorder.table(rows) for rows in (recorder.moves, recorder.waits, recorder.ends))
    yield from _counter("wavelets moved per cycle", moves[:, 0])
    streams = list(_streams(moves))
    pauses = list(_pauses(waits, ends))
    yield from _tracks(program, recorder, {track for track, *_ in streams} | {track for track, *_ in pauses})
    for (pe, color), start, length, count in streams:
        name = f"{count} wavelet{'s' if count > 1 else ''}"
        yield _slice(STREAMS, _track(program, pe, color), name, start, length, wavelets=count)
    for (pe, color), start, length in pauses:
        yield _slice(STREAMS, _track(program, pe, color), "waits", start, length)


def _kernels(program: FabricProgram, outcome: Outcome) -> Iterator[Event]:
    """What the latest PE did: one block of the program after another."""
    yield _named("thread_name", KERNELS, 1, "kernel of the latest PE")
    before = 0
    for place, time in sorted(outcome.blocks.items(), key=lambda item: (item[1], item[0])):
        if time > before:
            yield _slice(KERNELS, 1, "+".join(program.code.parts[place]), before, time - before)
            before = time


def _counter(name: str, times: np.ndarray) -> Iterator[Event]:
    for place, count in enumerate(np.bincount(times // BIN).tolist() if times.size else []):
        yield {"ph": "C", "pid": KERNELS, "name": name, "ts": place * BIN, "args": {"count": count / BIN}}


Track = tuple[int, int]
"""(the PE's bit, the color)"""


def _streams(moves: np.ndarray) -> Iterator[tuple[Track, int, int, int]]:
    """(track, first cycle, cycles, wavelets) of moves that follow each other."""
    if not len(moves):
        return
    order = np.lexsort((moves[:, 0], moves[:, 2], moves[:, 1]))
    time, pe, color = moves[order].T
    new = np.ones(len(time), dtype=bool)
    new[1:] = (np.diff(pe) != 0) | (np.diff(color) != 0) | (np.diff(time) > GAP)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(time)) - 1
    for i, j in zip(first.tolist(), last.tolist(), strict=True):
        yield (int(pe[i]), int(color[i])), int(time[i]), int(time[j] - time[i] + 1), j - i + 1


def _pauses(waits: np.ndarray, ends: np.ndarray) -> Iterator[tuple[Track, int, int]]:
    """(track, first cycle, cycles) of heads that waited for longer than a link's pause."""
    order, closing = (np.lexsort((rows[:, 0], rows[:, 2], rows[:, 1])) for rows in (waits, ends))
    open_at: dict[Track, list[int]] = {}
    for time, pe, color in ends[closing].tolist():
        open_at.setdefault((pe, color), []).append(time)
    seen: dict[Track, int] = {}
    for time, pe, color in waits[order].tolist():
        track = (pe, color)
        place = seen.get(track, 0)
        seen[track] = place + 1
        stops = open_at.get(track, [])
        if place < len(stops) and stops[place] - time >= GAP:
            yield track, time, stops[place] - time


def _tracks(program: FabricProgram, recorder: Recorder, tracks: set[Track]) -> Iterator[Event]:
    assert recorder.grid is not None or not tracks
    for pe, color in sorted(tracks):
        assert recorder.grid is not None
        y, x = divmod(pe, recorder.grid.stride)
        place = program.place(y * program.cols + x)
        yield _named("thread_name", STREAMS, _track(program, pe, color), f"PE {place} {program.color_name(color)}")


def _track(program: FabricProgram, pe: int, color: int) -> int:
    return pe * len(program.colors) + color + 1


def _named(kind: str, process: int, thread: int, name: str) -> Event:
    return {"ph": "M", "pid": process, "tid": thread, "name": kind, "args": {"name": name}}


def _slice(process: int, thread: int, name: str, start: int, length: int, **args: int) -> Event:
    event: Event = {"ph": "X", "pid": process, "tid": thread, "name": name, "ts": start, "dur": length}
    return event | {"args": args} if args else event

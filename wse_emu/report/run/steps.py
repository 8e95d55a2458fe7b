"""steps.parquet: one row for every step of every new token, in columns; reads in pandas, polars and DuckDB."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wse_emu.engines.step_times import CAUSES, StepList, StepTimes
from wse_emu.engines.wafer_clock import TokenTiming
from wse_emu.fabric.region import Region
from wse_emu.report.folder import write_bytes
from wse_emu.report.run.record import SCHEMA

GROUP_ROWS = 1 << 17
"""Rows up to which tokens share a row group: what is held in memory at once."""
UNITS = {
    "token": "index of the new token, from 0",
    "step": "index of the row among those of its token",
    "layer": "index of the layer, -1: none",
    "kernel": "name",
    "operation": "name",
    "region": "name, as in report.json",
    "start_cycle": "cycles since the first new token began",
    "end_cycle": "cycles since the first new token began",
    **{f"{cause}_cycles": "cycles; these four sum to end_cycle - start_cycle" for cause in CAUSES},
    "idle_cycles": "cycles in which a PE of the region waited, mean; null: not known",
    "wavelet_hops": "wavelets times the links that they crossed",
}
"""The columns, in order, and what their values are."""


@dataclass(frozen=True)
class TokenSteps:
    """One token's steps: times relative to the first new token's begin, int64 ``[rows]``."""

    token: int
    begin: int
    cycles: int
    times: StepTimes

    @property
    def start(self) -> np.ndarray:
        return self.times.start + (self.begin - self.times.begin)

    @property
    def end(self) -> np.ndarray:
        return self.times.end + (self.begin - self.times.begin)


def token_steps(timings: Sequence[TokenTiming]) -> list[TokenSteps]:
    """All tokens, one after another. They must have been recorded."""
    found, begin = [], 0
    for token, timing in enumerate(timings):
        assert timing.steps is not None
        found.append(TokenSteps(token, begin, timing.cycles, timing.steps))
        begin += timing.cycles
    return found


def write_steps(path: Path, tokens: Sequence[TokenSteps], names: dict[Region, str]) -> None:
    """Write the table; ``names`` are those of the regions."""
    from pyarrow import parquet

    sink = io.BytesIO()
    schema = _schema()
    together = max(1, GROUP_ROWS // max(1, *(len(one.times.rows) for one in tokens)))
    labels = {
        id(rows): _labels(rows, names) for rows in {id(one.times.rows): one.times.rows for one in tokens}.values()
    }
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for first in range(0, len(tokens), together):
            writer.write_table(_table(tokens[first : first + together], labels, schema))
    write_bytes(path, sink.getvalue())


def _schema() -> Any:
    import pyarrow as pa

    words = pa.dictionary(pa.int32(), pa.string())
    narrow = dict.fromkeys(("token", "step", "layer"), pa.int32())
    kinds = narrow | dict.fromkeys(("kernel", "operation", "region"), words) | {"idle_cycles": pa.float32()}
    held = {"schema": str(SCHEMA), "units": json.dumps(UNITS)}
    return pa.schema([(name, kinds.get(name, pa.int64())) for name in UNITS], metadata=held)


def _labels(rows: StepList, names: dict[Region, str]) -> dict[str, Any]:
    """The columns of words of one token, as pyarrow dictionary arrays."""
    import pyarrow as pa

    words = {"kernel": rows.kernel, "operation": rows.operation, "region": [names[one] for one in rows.region]}
    return {name: pa.array(held).dictionary_encode() for name, held in words.items()}


def _table(tokens: Sequence[TokenSteps], labels: dict[int, dict[str, Any]], schema: Any) -> Any:
    import pyarrow as pa

    held = [labels[id(one.times.rows)] for one in tokens]
    columns: dict[str, Any] = {name: pa.chunked_array([one[name] for one in held]) for name in held[0]}
    for name, parts in zip(_numbers(), zip(*map(_columns, tokens), strict=True), strict=True):
        numbers = np.concatenate(parts)
        columns[name] = pa.array(numbers, mask=np.isnan(numbers))
    return pa.table([columns[name] for name in UNITS], schema=schema)


def _numbers() -> Iterator[str]:
    return (name for name in UNITS if name not in {"kernel", "operation", "region"})


def _columns(one: TokenSteps) -> list[np.ndarray]:
    """The columns of numbers of one token, in the order of :data:`UNITS`."""
    rows, count = one.times.rows, len(one.times.rows)
    token, step = np.full(count, one.token, dtype=np.int32), np.arange(count, dtype=np.int32)
    idle = one.times.idle.astype(np.float32)
    return [token, step, rows.layer, one.start, one.end, *one.times.causes(), idle, one.times.wavelet_hops]

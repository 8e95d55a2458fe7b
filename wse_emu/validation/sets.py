"""Sets of published measurements, each with a prediction beside it and the error of the whole set."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.kernels.waferllm import LayerShape, prefill_gemms
from wse_emu.program.precision import ITEMSIZE
from wse_emu.validation import programs
from wse_emu.validation.rows import MeasuredRow, whole

PUBLISHED_CLOCK = 1.1e9
"""Hz of the WSE-2 in waferllm_osdi25_tables.csv (its header)."""
DECODE_POSITIONS = 4096
"""Cached positions of a decode whose row names none: the longest input of the same tables."""
MODELS = {
    "LLaMA3-8B": (32, LayerShape(4096, 1024, 14336)),
    "LLaMA2-13B": (40, LayerShape(5120, 5120, 13824)),
    "CodeLLaMA-34B": (48, LayerShape(8192, 1024, 22016)),
    "QWen2-72B": (80, LayerShape(8192, 1024, 29568)),
}
"""Layers and sizes, from each model's config.json."""
CAPACITY_EDGE = {"LLaMA3-8B": 360}
"""Edge of the decode grid whose KV cache table 5 measures: that of table 2's rows."""

Progress = Callable[[int, int, str], None]
"""(rows done, rows in all, what is at hand)"""


@dataclass(frozen=True)
class Case:
    """One measurement, and what the emulator says."""

    values: dict[str, Any]
    unit: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative: 0.01 is 1 % too high."""
        return self.predicted / self.measured - 1


@dataclass
class ValidationSet:
    """Cases of one program on one kind of wafer, from one kind of source."""

    name: str
    title: str
    wafer: str
    confidence: str
    cases: list[Case] = field(default_factory=list)

    @cached_property
    def errors(self) -> np.ndarray:
        """Absolute relative errors."""
        return np.array([abs(case.error) for case in self.cases])

    def figures(self) -> dict[str, float]:
        """Median, 95th percentile and largest absolute relative error."""
        return {
            "median_abs_error": float(np.median(self.errors)),
            "p95_abs_error": float(np.percentile(self.errors, 95)),
            "max_abs_error": float(self.errors.max()),
        }

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        about = {"name": self.name, "title": self.title, "wafer": self.wafer, "confidence": self.confidence}
        cases = [
            {**case.values, **{k: v for k, v in asdict(case).items() if k != "values"}, "error": case.error}
            for case in self.cases
        ]
        return {**about, "level": "timing model", "rows": len(self.cases), **self.figures(), "cases": cases}


_SILICON = "silicon, by others"
_PAPER = "published paper"
SETS = {
    "wse3_meshgemv": ("MeshGEMV on WSE-3", "wse3", _SILICON),
    "wse3_meshgemm": ("MeshGEMM on WSE-3", "wse3", _SILICON),
    "wse3_shift": ("Shift on WSE-3", "wse3", _SILICON),
    "wse3_shift_older": ("Shift on WSE-3, older run", "wse3", "not labelled"),
    "wse2_decode": ("WaferLLM decode on WSE-2", "wse2", _PAPER),
    "wse2_prefill": ("WaferLLM prefill on WSE-2", "wse2", _PAPER),
    "wse2_end_to_end": ("WaferLLM end to end on WSE-2", "wse2", _PAPER),
    "wse2_kv_capacity": ("WaferLLM KV capacity on WSE-2", "wse2", _PAPER),
}
"""Name: title, wafer, confidence of the source. Kinds of source never share a set, nor do kinds of wafer."""


def validate(
    rows: Iterable[MeasuredRow],
    *,
    wafers: dict[str, WaferSpec] | None = None,
    progress: Progress = lambda _done, _total, _what: None,
) -> tuple[list[ValidationSet], list[str]]:
    """Predict all ``rows``; returns the sets that have cases, and what was left out, a line a reason.

    ``wafers`` replaces the presets of the sets (wse2, wse3). Raises WseError for a row that no wafer can run.
    """
    specs = wafers or {name: load_wafer(name) for name in ("wse2", "wse3")}
    found = {name: ValidationSet(name, *about) for name, about in SETS.items()}
    skipped: dict[str, int] = {}
    waiting: list[MeasuredRow] = []
    rows = list(rows)
    for number, row in enumerate(rows):
        progress(number - len(waiting), len(rows), row.kind)
        if row.kind == "shift":
            waiting.append(row)
            continue
        name, result = _PREDICT[row.kind](row, specs)
        if isinstance(result, Case):
            found[name].cases.append(result)
        else:
            skipped[result] = skipped.get(result, 0) + 1

    def shifting(done: int, what: str) -> None:
        progress(len(rows) - len(waiting) + done, len(rows), what)

    _predict_shifts(waiting, specs["wse3"], found, shifting)
    return [one for one in found.values() if one.cases], [
        f"{count} rows ({reason})" for reason, count in skipped.items()
    ]


Prediction = tuple[str, Case | str]
"""Name of the set, and the case or why there is none."""


def _mesh_gemv(row: MeasuredRow, specs: dict[str, WaferSpec]) -> Prediction:
    edge, groups, m, n = (row.whole(column) for column in ("P", "group_num", "tile_m", "tile_n"))
    _check_edge(row, edge, specs["wse3"])
    if groups > edge:
        raise WseError(f"{row.where}: {groups} groups on a line of {edge} PEs; at most {edge} work")
    _check_fits(row, m * n + m + n, specs["wse3"])
    values = {"P": edge, "group_num": groups, "tile_m": m, "tile_n": n}
    cycles = programs.mesh_gemv_cycles(specs["wse3"], edge, groups, m, n)
    return "wse3_meshgemv", Case(values, "cycles", row.measured, cycles)


def _mesh_gemm(row: MeasuredRow, specs: dict[str, WaferSpec]) -> Prediction:
    edge, *tile = (row.whole(column) for column in ("P", "tile_m", "tile_k", "tile_n"))
    _check_edge(row, edge, specs["wse3"])
    m, k, n = tile
    _check_fits(row, m * k + k * n + m * n, specs["wse3"])
    values = {"P": edge, "tile_m": m, "tile_k": k, "tile_n": n}
    return "wse3_meshgemm", Case(
        values, "cycles", row.measured, programs.mesh_gemm_cycles(specs["wse3"], edge, (m, k, n))
    )


def _predict_shifts(
    rows: Sequence[MeasuredRow], spec: WaferSpec, found: dict[str, ValidationSet], progress: Callable[[int, str], None]
) -> None:
    """Rows of one grid and tile are stages of the same run."""
    runs: dict[tuple[int, int], list[MeasuredRow]] = {}
    for row in rows:
        _check_edge(row, row.whole("P"), spec)
        _check_fits(row, 2 * row.whole("tile_f16_values"), spec)
        runs.setdefault((row.whole("P"), row.whole("tile_f16_values")), []).append(row)
    done = 0
    for (edge, elements), same in runs.items():
        progress(done, f"shift on {edge}×{edge}")
        done += len(same)
        cycles = programs.shift_cycles(spec, edge, elements, [row.whole("L") for row in same])
        for row in same:
            values = {"P": edge, "L": row.whole("L"), "tile_f16_values": elements, "class": row.values["class"]}
            name = "wse3_shift" if row.values["class"] == "silicon" else "wse3_shift_older"
            found[name].cases.append(Case(values, "cycles", row.measured, cycles[row.whole("L")]))


def _table(row: MeasuredRow, specs: dict[str, WaferSpec]) -> Prediction:
    """A row of the paper's tables: those of WaferLLM's own programs that say on which grid."""
    metric, model, config = row.values["metric"], row.values["model_or_shape"], row.values["config"]
    ours = row.values["system"] == "WaferLLM" or row.values["table"] == "T5"
    if not ours:
        return "", "other systems than WaferLLM, or no grid given"
    if model not in MODELS:
        raise WseError(f"{row.where}: unknown model {model[:60]!r}; what works: {', '.join(MODELS)}")
    function = _TABLES.get(metric)
    if function is None:
        return "", f"of {metric}, which is not predicted"
    edges = [whole(edge) or 0 for edge in re.findall(r"(\d+)\^2", config)]
    for edge in edges:
        _check_edge(row, edge, specs["wse2"])
    return function(row, specs["wse2"], model, edges)


def _decode(row: MeasuredRow, spec: WaferSpec, model: str, edges: list[int]) -> Prediction:
    (edge,) = _edges(row, edges, 1)
    _check_decode(row, spec, model, edge, DECODE_POSITIONS)
    values = {"model": model, "P": edge}
    return "wse2_decode", Case(values, "tokens/s", row.measured, _decode_rate(spec, model, edge, DECODE_POSITIONS))


def _prefill(row: MeasuredRow, spec: WaferSpec, model: str, edges: list[int]) -> Prediction:
    (edge,) = _edges(row, edges, 1)
    length = _length(row, "input_len")
    _check_prefill(row, spec, model, edge, length)
    values = {"model": model, "P": edge, "input_len": length}
    return "wse2_prefill", Case(values, "tokens/s", row.measured, _prefill_rate(spec, model, edge, length))


def _end_to_end(row: MeasuredRow, spec: WaferSpec, model: str, edges: list[int]) -> Prediction:
    """Tokens put out over the time of prefill and decode; the cache grows from the input to both lengths."""
    before, after = _edges(row, edges, 2)
    into, out = _length(row, "input_len"), _length(row, "output_len")
    _check_prefill(row, spec, model, before, into)
    _check_decode(row, spec, model, after, into + out // 2)
    seconds = into / _prefill_rate(spec, model, before, into) + out / _decode_rate(spec, model, after, into + out // 2)
    values = {"model": model, "prefill_P": before, "decode_P": after, "input_len": into, "output_len": out}
    return "wse2_end_to_end", Case(values, "tokens/s", row.measured, out / seconds)


def _capacity(row: MeasuredRow, spec: WaferSpec, model: str, _edges: list[int]) -> Prediction:
    if model not in CAPACITY_EDGE:
        return "", "other systems than WaferLLM, or no grid given"
    layers, shape = MODELS[model]
    shifted = row.values["system"].startswith("shift")
    tokens = programs.kv_capacity(spec, CAPACITY_EDGE[model], shape, layers, shifted=shifted)
    values = {"model": model, "cache": "shifted" if shifted else "concatenated", "P": CAPACITY_EDGE[model]}
    return "wse2_kv_capacity", Case(values, "tokens", row.measured, tokens)


_PREDICT: dict[str, Callable[[MeasuredRow, dict[str, WaferSpec]], Prediction]] = {
    "meshgemv": _mesh_gemv,
    "meshgemm": _mesh_gemm,
    "tables": _table,
}
_TABLES: dict[str, Callable[[MeasuredRow, WaferSpec, str, list[int]], Prediction]] = {
    "decode_throughput_per_request": _decode,
    "prefill_throughput_per_request": _prefill,
    "e2e_throughput_per_request": _end_to_end,
    "max_decode_output_len": _capacity,
}


def _decode_rate(spec: WaferSpec, model: str, edge: int, positions: int) -> float:
    layers, shape = MODELS[model]
    return PUBLISHED_CLOCK / (layers * programs.decode_cycles(spec, edge, shape, positions))


def _prefill_rate(spec: WaferSpec, model: str, edge: int, positions: int) -> float:
    layers, shape = MODELS[model]
    return PUBLISHED_CLOCK * positions / (layers * programs.prefill_cycles(spec, edge, shape, positions))


def _edges(row: MeasuredRow, edges: list[int], count: int) -> list[int]:
    if len(edges) != count:
        raise WseError(f"{row.where}: config {row.values['config'][:60]!r} names no grid; one as 420^2 works")
    return edges


def _length(row: MeasuredRow, column: str) -> int:
    text = row.values[column]
    number = whole(text)
    if number is None:
        raise WseError(f"{row.where}: {column} is {text[:60]!r}; a whole number above 0 works")
    return number


def _check_edge(row: MeasuredRow, edge: int, spec: WaferSpec) -> None:
    most = min(spec.columns, spec.rows)
    if not 0 < edge <= most:
        raise WseError(f"{row.where}: a grid of {edge}×{edge} PEs is off the mesh of {spec.name}; up to {most} works")


def _check_prefill(row: MeasuredRow, spec: WaferSpec, model: str, edge: int, positions: int) -> None:
    tiles = prefill_gemms(edge, MODELS[model][1], positions).values()
    _check_fits(row, max(m * k + k * n + m * n for m, k, n in tiles), spec)


def _check_decode(row: MeasuredRow, spec: WaferSpec, model: str, edge: int, positions: int) -> None:
    shape = MODELS[model][1]
    places, hidden, inner = (-(-size // edge) for size in (positions, shape.hidden, shape.intermediate))
    _check_fits(row, hidden * max(places, inner), spec)


def _check_fits(row: MeasuredRow, elements: int, spec: WaferSpec) -> None:
    """``elements`` float16 of one operation lie on a PE at once."""
    held = ITEMSIZE["float16"] * elements
    if held > spec.sram_bytes:
        raise WseError(f"{row.where}: {held:,} bytes on a PE; {spec.name} has {spec.sram_bytes:,}")

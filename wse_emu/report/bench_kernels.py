"""`wse-emu bench kernels`: a kernel's emulated cycles beside the time that its numbers take on this machine."""

import json
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from wse_emu.engines.assembly import assemble_body
from wse_emu.engines.backend import Backend, load_backend
from wse_emu.engines.estimate import Estimator
from wse_emu.engines.numeric import NumericEngine, arrange, matrices
from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wavelet import Machine
from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.kernels.registry import KERNELS, find_kernel
from wse_emu.program import Body, Builder, Call, Program, Value
from wse_emu.program.memory import memory
from wse_emu.program.precision import ITEMSIZE
from wse_emu.report.folder import prepare_folder
from wse_emu.report.machine_speed import copy_bandwidth
from wse_emu.report.progress import bar
from wse_emu.report.run.record import record_run, run_facts

SECONDS = 0.2
"""How long a kernel's numbers are repeated for."""


LEVELS = {"cycles": "timing model", "exact_cycles": "cycle-exact", "seconds": "measured", "pe_bytes": "counted"}
VIEW = 10
"""Share of the copy bandwidth beyond which the numbers cannot have moved: equal copies are kept once."""


@dataclass(frozen=True)
class KernelOptions:
    """The options of `wse-emu bench kernels`."""

    kernels: list[str]
    grid: tuple[int, int]
    sizes: list[int]
    backend: str
    engine: str
    wafer: str
    json_output: bool
    out: Path | None = None
    """Folder for run.json and report.json."""


def run_bench_kernels(options: KernelOptions) -> None:
    """Measure and show. Raises WseError for what the user got wrong."""
    spec = load_wafer(options.wafer)
    backend = load_backend(options.backend)
    if options.engine not in {"timing", "wavelet"}:
        raise WseError(f"--engine {options.engine}: timing or wavelet works")
    if options.out is not None:
        prepare_folder(options.out)
    bandwidth = copy_bandwidth()
    rows, left_out = _measure_all(options, spec, backend, bandwidth)
    facts = {"wafer": spec.name, "grid": options.grid, "backend": backend.name, "copy_bytes_per_second": bandwidth}
    report = {**facts, "kernels": rows, "left_out": left_out}
    record_run(options.out, run_facts("bench kernels", asdict(options), wafer=spec, levels=LEVELS), report)
    if options.json_output:
        print(json.dumps(report))  # noqa: T201
    else:
        console = Console()
        console.print(_table(rows, options, spec, bandwidth))
        if options.engine == "wavelet":
            console.print("[dim]off by: cycles of the timing model less those of the wavelet engine, which are exact")
        console.print("[dim]here: best run of the numbers, measured; copy: share of the copy bandwidth,")
        console.print("[dim]above 100 % where numbers stay in caches; !: more bytes than a PE has[/]")
        for name, reason in left_out.items():
            console.print(f"[dim]left out: {name} ({reason.split(': ')[0]})[/]", highlight=False, emoji=False)


def _measure_all(
    options: KernelOptions, spec: WaferSpec, backend: Backend, bandwidth: float
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A row for each kernel and size; where nobody asked for one by name, those that cannot run here, and why."""
    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    exact = options.engine == "wavelet"
    wanted = [(name, size) for name in options.kernels or KERNELS for size in options.sizes]
    with bar("measuring", "kernels") as shown:
        for done, (name, size) in enumerate(wanted):
            shown(done, len(wanted), f"{name}, size {size}")
            try:
                body = make_body(name, size, options.grid, spec)
                rows.append(measure_kernel(name, size, body, spec, backend, bandwidth, exact=exact))
            except WseError as error:
                if options.kernels:
                    raise
                left_out[name] = str(error)
    if not rows:
        raise WseError(next(iter(left_out.values())))
    return rows, left_out


def make_body(name: str, size: int, grid: tuple[int, int], spec: WaferSpec) -> Body:
    """The kernel ``name`` of ``size`` on a grid of (rows, columns); WseError if it cannot be built there."""
    rows, cols = grid
    if size < 1 or not (1 <= rows <= spec.rows and 1 <= cols <= spec.columns):
        raise WseError(
            f"size {size} on a grid of {rows}×{cols}: sizes from 1 work, grids up to {spec.rows}×{spec.columns}"
        )
    kernel = find_kernel(name)
    b = Builder(name, rows, cols, choose=Estimator(spec).choose)
    try:
        result = kernel(b, size)
        return b.build(*(result if isinstance(result, tuple) else (result,)))
    except WseError:
        raise
    except Exception as error:  # noqa: BLE001  (whatever a user's kernel does)
        raise WseError(f"kernel {name}: failed with {type(error).__name__}: {error}") from None


def measure_kernel(  # noqa: PLR0917
    name: str, size: int, body: Body, spec: WaferSpec, backend: Backend, bandwidth: float, *, exact: bool
) -> dict[str, Any]:
    """One row: emulated cycles, wavelets and bytes a PE; seconds of the numbers here and their share of bandwidth."""
    clock = BodyClock(spec, body, np.zeros((body.rows, body.cols), dtype=np.int64), _slots(body, size))
    clock.run()
    cycles = int(clock.clock.max()) + clock.offset
    parts = memory(Program(name, (Call(body, Region(0, 0, body.cols, body.rows), (), ()),)), spec)
    seconds = time_numbers(body, backend, size)
    moved = sum(_bytes(value) for value in (*body.weights, *body.inputs, *body.states, *body.outputs))
    row = {
        "kernel": name,
        "size": size,
        "cycles": cycles,
        "level": "timing model",
        "exact_cycles": None,
        "wavelets": int(clock.links.sum()),
        "pe_bytes": parts.max_pe_bytes,
        "fits": parts.fits,
        "wafer_seconds": cycles / spec.clock_hz,
        "seconds": seconds,
        "bytes": moved,
        "share_of_copy_bandwidth": moved / seconds / bandwidth,
    }
    if exact:
        row["exact_cycles"] = Machine(assemble_body(body, spec, _slots(body, size))).run().cycles
    return row


def _slots(body: Body, size: int) -> int:
    """Cache slots in use once ``size`` tokens are there."""
    return -(-size // body.rows) if body.states else 1


def _bytes(value: Value) -> int:
    return prod(value.shape) * ITEMSIZE[value.dtype]


def time_numbers(body: Body, backend: Backend, size: int) -> float:
    """Seconds of one run of ``body`` on random numbers: the best of those in :data:`SECONDS`, compilation left out."""
    rng, outputs = np.random.default_rng(0), matrices(body)
    values = {
        value.name: arrange(backend, value, _random(rng, value, outputs.get(value.name)), outputs.get(value.name))
        for value in (*body.weights, *body.inputs, *body.states)
    }
    weights, inputs, states = (
        {v.name: values[v.name] for v in group} for group in (body.weights, body.inputs, body.states)
    )
    engine, best, begun = NumericEngine(backend), float("inf"), perf_counter()
    while perf_counter() - begun < SECONDS or best == float("inf"):
        started = perf_counter()
        results, states = engine.run(body, inputs, weights, states, max(0, size - 1) if body.states else 0)
        for value in results.values():
            backend.numpy(value)
        if started > begun + 1e-3 or backend.name == "numpy":
            best = min(best, perf_counter() - started)
    return best


def _random(rng: np.random.Generator, value: Value, outputs: int | None) -> np.ndarray:
    if value.dtype == "int32":
        return np.zeros(value.shape, dtype=np.int32)
    numbers = rng.standard_normal(value.shape, dtype=np.float32) / np.float32(value.shape[-1] ** 0.5)
    if outputs is None:
        return numbers
    return np.ascontiguousarray(numbers.reshape(prod(value.shape[:outputs]), -1).T)


def _table(rows: list[dict[str, Any]], options: KernelOptions, spec: WaferSpec, bandwidth: float) -> Table:
    title = (
        f"kernels on {options.grid[0]}×{options.grid[1]} PEs of {spec.name}; numbers by {options.backend}, "
        f"this machine copies {bandwidth / 1e9:.0f} GB/s"
    )
    exact = ["off by"] if options.engine == "wavelet" else []
    heads = ["kernel", "size", "cycles", *exact, "wavelets", "B/PE", "here", "copy"]
    table = Table(*heads, title=title, title_justify="left", box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(
            row["kernel"],
            f"{row['size']:,}",
            f"{row['cycles']:,}",
            *([f"{row['cycles'] - row['exact_cycles']:+d}"] if exact else []),
            f"{row['wavelets']:,}",
            f"{row['pe_bytes']:,}" + ("" if row["fits"] else "!"),
            f"{row['seconds'] * 1e6:,.0f} µs",
            f"{row['share_of_copy_bandwidth']:.0%}" if row["share_of_copy_bandwidth"] < VIEW else "–",
        )
    return table

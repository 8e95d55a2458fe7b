"""What the page shows of a run: collected once, by :func:`collect`, and kept as page.json in the run's folder."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wse_emu.baseline import find_format, model_work
from wse_emu.decode import Result, Session
from wse_emu.engines.activity import Activity, activity, activity_maps
from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.hardware.gpu import load_gpu
from wse_emu.mappings.plan import Plan
from wse_emu.program import Memory, Program
from wse_emu.program.memory import bytes_map
from wse_emu.report.folder import write_text
from wse_emu.report.page.channels import channels
from wse_emu.report.page.encode import encode
from wse_emu.report.page.timeline import named_steps, spans
from wse_emu.report.run.arrays import slots_and_routes

FORMAT = 1
"""Of page.json; `wse-emu view` refuses any other."""
FILE = "page.json"
GPU_CACHE_BYTES = 2
"""Of a cached number on a GPU."""
PARTS = {"report", "wafer", "dead", "regions", "activity", "timeline", "routes", "roofline", "maps"}
Facts = dict[str, Any]


def collect(session: Session, result: Result, report: Facts) -> Facts:
    """All that the page needs, as plain data; ``report`` is what report.json holds."""
    plan, spec = session.plan, session.spec
    last = plan.program.routed(result.tokens[-1].timing.routing)
    spent = activity(plan.program, spec, slots_and_routes([decoded.timing for decoded in result.tokens]))
    numbers = {region: i for i, region in enumerate(dict.fromkeys(call.region for call in plan.program.calls))}
    compute, streams = activity_maps(spent, spec)
    maps = {"compute": compute, "streams": streams, "sram": bytes_map(plan.memory, spec), "clocks": result.clocks}
    maps |= {f"links_{way}": result.links[i] for i, way in enumerate("EWNS")}
    return {
        "format": FORMAT,
        "report": report,
        "wafer": _wafer(session),
        "dead": sorted(plan.program.defects.pes),
        "regions": _regions(plan, numbers),
        "activity": _activity(spent, numbers),
        "timeline": _timeline(last, result, numbers, report["level"]),
        "routes": channels(last, spec, numbers),
        "roofline": _roofline(session, result, report),
        "maps": {name: encode(values) for name, values in maps.items()},
    }


def save(folder: Path, facts: Facts) -> None:
    """Write page.json."""
    write_text(folder / FILE, json.dumps(facts, ensure_ascii=False, separators=(",", ":")))


def load(folder: Path) -> Facts:
    """Read page.json; WseError, in one line, where there is none that this version reads."""
    path = folder / FILE
    try:
        facts = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise WseError(f"{folder}: no run ({FILE} is not there); a folder that `decode --out` wrote works") from None
    except OSError as error:
        raise WseError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise WseError(f"{path}: is damaged ({error}); decode again") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or not facts.keys() >= PARTS:
        raise WseError(f"{path}: not of format {FORMAT}, which this version shows; decode again")
    return facts


def _wafer(session: Session) -> Facts:
    spec = session.spec
    return {
        "columns": spec.columns,
        "rows": spec.rows,
        "row_seams": spec.row_seams,
        "column_seams": spec.column_seams,
        "link_interval": float(spec.link_interval),
        "colors": spec.colors,
    }


def _regions(plan: Plan, numbers: dict[Region, int]) -> list[Facts]:
    names: dict[Region, list[str]] = {}
    for name, region in plan.regions.items():
        names.setdefault(region, []).append(name)
    tensors = _tensors(plan.program)
    return [
        {
            "name": ", ".join(names.get(region, [str(region)])),
            **asdict(region),
            "memory": _memory(plan.memory, region),
            "tensors": tensors[region],
        }
        for region in numbers
    ]


def _memory(memory: Memory, region: Region) -> dict[str, int]:
    return {**memory.by_region[region], "capacity": memory.capacity_pe_bytes}


def _tensors(program: Program) -> dict[Region, list[Facts]]:
    """Weights and caches on a PE of each region; those of several layers under one name."""
    seen: set[tuple[Region, str]] = set()
    found: dict[Region, dict[tuple[str, str], Counter[str]]] = {}
    for call in program.calls:
        held = found.setdefault(call.region, {})
        for value in call.body.weights + call.body.states:
            if (key := (call.region, call.prefix + value.name)) not in seen:
                seen.add(key)
                kind = "weights" if value.kind == "weight" else "kv_cache"
                held.setdefault((value.name, kind), Counter()).update(count=1, bytes=value.block_bytes)
    return {
        region: [{"name": name, "kind": kind, **counts} for (name, kind), counts in held.items()]
        for region, held in found.items()
    }


def _activity(spent: Activity, numbers: dict[Region, int]) -> list[Facts]:
    """By region: cycles of each kernel, summed over the decoded tokens."""
    return [
        {
            kernel: {
                "compute": share.compute,
                "x": share.along_x.tolist(),
                "y": share.along_y.tolist(),
                "single": [[x, y, cycles] for (x, y), cycles in share.single.items()],
            }
            for kernel, share in spent.get(region, {}).items()
        }
        for region in numbers
    ]


def _timeline(program: Program, result: Result, numbers: dict[Region, int], level: str) -> Facts:
    """The last token, which ran ``program``."""
    steps = result.tokens[-1].timing.steps
    assert steps is not None, "the page shows decodes whose steps were recorded"
    found = spans(steps)
    kernels = list(dict.fromkeys(span.kernel for span in found))
    return {
        "token": len(result.tokens) - 1,
        "level": level,
        "cycles": max(span.end for span in found),
        "kernels": kernels,
        "steps": named_steps(program),
        "spans": [[kernels.index(s.kernel), s.step, numbers[s.region], s.start, s.end] for s in found],
    }


def _roofline(session: Session, result: Result, report: Facts) -> Facts:
    """Peaks in FLOP/s and bytes/s, and the decode's point under each, at the position that the GPUs are priced at."""
    config, spec, precision = session.model.config, session.spec, session.precision
    work, position = model_work(config), len(result.prompt_ids) + len(result.tokens) // 2
    weights = work.read_parameters()
    cached = sum(cache.numbers * cache.positions(position + 1) for cache in work.caches)
    flops = 2 * weights + sum(cache.flops * cache.positions(position + 1) for cache in work.caches)
    derived, kind = spec.derived(), "fp32" if precision.activations == "float32" else "fp16"
    stored = float(weights * precision.weight_bytes) + cached * (4 if precision.activations == "float32" else 2)
    wafer = {
        "name": spec.name,
        "flops": derived[f"{kind}_flops"],
        "bytes": derived["memory_bytes_per_second"],
        "bytes_per_token": stored,
        "tokens_per_second": report["tokens_per_second"],
        "level": report["level"],
        "peaks": f"all cores, sustained {kind}; SRAM",
    }
    return {"flops_per_token": flops, "machines": [wafer, *(_gpu(row, weights, cached) for row in report["baseline"])]}


def _gpu(row: Facts, weights: float, cached: float) -> Facts:
    gpu, count = load_gpu(row["gpu"]), row["gpus"]
    return {
        "name": gpu.name if count == 1 else f"{count} × {gpu.name}",
        "flops": count * gpu.fp16_flops,
        "bytes": count * gpu.hbm_bytes_per_second,
        "bytes_per_token": find_format(row["weights"]).bytes * weights + GPU_CACHE_BYTES * cached,
        "tokens_per_second": row["tokens_per_second_total"],
        "level": row["level"],
        "peaks": "datasheet, dense 16-bit; HBM",
    }

"""Cycles per token that defects cost: ``python examples/defects_study.py --mapping pipeline --seeds 3``.

Every row is a rate of dead PEs on a small wafer of 64×64 PEs with the constants of WSE-3; a random model of four
layers is mapped anew for each seed, and timed. Lost is the median over the seeds against the wafer without defects,
and the least and the most of them stand beside it.

What it shows: far between, dead PEs cost nothing but a few hops, since regions are laid between them. Once they are
closer together than a region is wide, regions become smaller and lower, and every PE has more work. As many dead PEs
in clusters leave wide places free, and cost little up to rates at which scattered ones cost a fifth. How clustered the
defects of a real wafer are is not public.
"""

import argparse
from dataclasses import replace
from statistics import median

from wse_emu.engines.estimate import Estimator
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.errors import WseError
from wse_emu.fabric import Defects
from wse_emu.hardware import WaferSpec, load_wafer
from wse_emu.mappings.plan import Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models import ModelConfig, Rope

MODEL = ModelConfig("llama", 256, 64, 4, 4, 2, 16, 160, 512, 1e-5, Rope(10000.0, "half"))
POSITIONS = 128


def small_wafer(extent: int) -> WaferSpec:
    """A square piece of a WSE-3, so small that it lies within one die."""
    return replace(load_wafer("wse3"), columns=extent, rows=extent)


def token_cycles(spec: WaferSpec, mapping: str, defects: Defects) -> int:
    """Cycles of a token in the middle of the context, with the shape of region that the mapping chooses."""
    request = Request(MODEL, spec, POSITIONS, "auto", Estimator(spec), defects=defects)
    return TimingEngine(make_plan(mapping, request).program, spec).token(POSITIONS // 2).cycles


def study(spec: WaferSpec, mapping: str, rate: float, seeds: int, *, clustered: bool) -> list[int]:
    """Cycles of a token for every seed that leaves room for the model."""
    found = []
    for seed in range(seeds):
        defects = Defects.random(spec.columns, spec.rows, rate, seed, clustered=clustered)
        try:
            found.append(token_cycles(spec, mapping, defects))
        except WseError:
            continue
    return found


def row(rate: float, kind: str, cycles: list[int], whole: int) -> str:
    """One line of the table: the median, and what is lost against ``whole`` cycles."""
    if not cycles:
        return f"{rate:8.2%}  {kind:10} no room"
    lost = [f"{count / whole - 1:+7.1%}" for count in (median(cycles), min(cycles), max(cycles))]
    return f"{rate:8.2%}  {kind:10} {median(cycles):8,.0f} {lost[0]}  ({lost[1].strip()} to {lost[2].strip()})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Cycles per token that dead PEs cost.")
    parser.add_argument("--mapping", default="pipeline", help="shared or pipeline")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.001, 0.002, 0.005, 0.01, 0.02])
    parser.add_argument("--seeds", type=int, default=3, help="wafers of each rate")
    parser.add_argument("--extent", type=int, default=64, help="columns and rows of the wafer")
    args = parser.parse_args()
    if args.seeds < 1:
        parser.error(f"--seeds {args.seeds}: at least 1 works")
    spec = small_wafer(args.extent)
    try:
        whole = token_cycles(spec, args.mapping, Defects())
        print("    dead  which       cycles    lost  (least to most)")
        print(f"    none             {whole:8,}")
        for rate in args.rates:
            for kind in ("scattered", "clustered"):
                cycles = study(spec, args.mapping, rate, args.seeds, clustered=kind == "clustered")
                print(row(rate, kind, cycles, whole), flush=True)
    except WseError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

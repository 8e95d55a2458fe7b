"""Seconds to time one token of the Llama-3.1-8B shape on wse3, every PE and link, on this machine.

Shape: meta-llama/Llama-3.1-8B config.json; 16-bit weights; 4,096 positions. `python -m benchmarks.timing_speed`
"""

from time import perf_counter

from wse_emu.engines.estimate import Estimator
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.hardware import load_wafer
from wse_emu.mappings.plan import Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models.config import ModelConfig
from wse_emu.models.rope import Rope

LLAMA_3_1_8B = ModelConfig(
    family="llama",
    vocabulary=128256,
    hidden=4096,
    layers=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
    intermediate=14336,
    context=131072,
    norm_epsilon=1e-5,
    rope=Rope(500000.0, "half"),
)


def main() -> None:
    spec = load_wafer("wse3")
    for mapping in ("shared", "pipeline"):
        started = perf_counter()
        plan = make_plan(mapping, Request(LLAMA_3_1_8B, spec, 4096, "auto", Estimator(spec), dtype="float16"))
        planned = perf_counter()
        engine = TimingEngine(plan.program, spec)
        timing = engine.token(2048)
        engine.links([timing])
        done = perf_counter()
        region = next(iter(plan.regions.values()))
        print(
            f"{mapping}: {timing.cycles:,} cycles, {spec.clock_hz / timing.cycles:,.0f} tokens/s; on {region}, "
            f"clocks and links {done - planned:.2f} s, choice of the shape {planned - started:.2f} s"
        )


if __name__ == "__main__":
    main()

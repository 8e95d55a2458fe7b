"""Seconds that an estimate takes after start-up, every PE and link timed: `python -m benchmarks.estimate_speed`.

The first of each model is with nothing remembered; the least of five more is what the machine can do.
"""

from time import perf_counter

from wse_emu.hardware import load_wafer
from wse_emu.models.known import load_config
from wse_emu.wafers import Workload, estimate

MODELS = ("llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b")


def seconds(model: str) -> float:
    """Of one estimate on wse3, at a context of 8,192 tokens."""
    config, spec = load_config(model), load_wafer("wse3")
    started = perf_counter()
    estimate(config, spec, Workload(1, 8192))
    return perf_counter() - started


def main() -> None:
    for model in MODELS:
        print(
            f"{model:16} first {seconds(model):.2f} s, least of five more {min(seconds(model) for _ in range(5)):.2f} s"
        )


if __name__ == "__main__":
    main()

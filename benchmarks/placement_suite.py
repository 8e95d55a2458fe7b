"""What the shipped strategies reach on problems that others made: ``python -m benchmarks.placement_suite``, 2 minutes.

References: best known values of QAPLIB and of the core graphs' collection, and for ISPD 2020 what others reach in 10 s;
see mappings/placement/suite/SOURCES.md.
"""

import argparse
import json
from pathlib import Path

from wse_emu.mappings.placement.readers import read_problem
from wse_emu.mappings.placement.search import run_strategy

CASES: tuple[tuple[str, tuple[int, int] | None, str, float, float], ...] = (
    ("VOPD", (4, 4), "robust_tabu", 1, 4118),
    ("MPEG4", (4, 3), "robust_tabu", 1, 58_212_352),
    ("MWD", (4, 3), "robust_tabu", 1, 1184),
    ("PIP", (3, 3), "robust_tabu", 1, 640),
    ("nug30", None, "robust_tabu", 1, 6124),
    ("sko42", None, "robust_tabu", 5, 15_812),
    ("sko64", None, "robust_tabu", 10, 48_498),
    ("sko100a", None, "robust_tabu", 10, 152_002),
    ("ispd-A", None, "strips", 10, 35_814.5),
    ("ispd-C", None, "strips", 10, 75_198.5),
    ("ispd-I", None, "strips", 10, 58_756.0),
    ("ispd-K", None, "strips", 10, 1968.0),
    ("ispd-M", None, "strips", 10, 2_230_230.0),
)
"""Problem, mesh (columns, rows), strategy, seconds, reference."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    for name, mesh, strategy, seconds, reference in CASES:
        result = run_strategy(read_problem(Path(name), mesh), strategy, seconds=seconds, seed=args.seed)
        rows.append({"problem": name, "strategy": strategy, "seconds": result.seconds, "reference": reference})
        rows[-1]["cost"] = cost = result.cost["cost"]
        if not args.json:
            print(
                f"{name:8} {strategy:12} {result.seconds:5.1f} s {cost:16,.10g} {cost / reference - 1:+8.2%}",
                flush=True,
            )
    if args.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()

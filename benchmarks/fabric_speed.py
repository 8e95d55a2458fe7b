"""Router-cycles a second of the wavelet engine: 256×256 PEs and whole wafers with 1, 4 and 24 busy colors.

`OPENBLAS_NUM_THREADS=1 python -m benchmarks.fabric_speed [--quick]`. A color's stream goes over all rows (or columns)
at the full rate of its links; colors beyond four share them. Each line also says how many bytes of planes were read and
written a second as a share of what this machine copies, and the most memory that the process has had.
"""

import argparse
import resource
from collections.abc import Iterator

from wse_emu.engines.workloads import Traffic, measure, workload
from wse_emu.hardware import WaferSpec, load_wafer
from wse_emu.report.machine_speed import copy_bandwidth


def cases(*, quick: bool) -> Iterator[tuple[WaferSpec, Traffic]]:
    for name in ("wse3",) if quick else ("wse3", "wse2"):
        spec = load_wafer(name)
        for colors, wavelets in ((1, 2000), (4, 2000), (24, 200)):
            yield spec, Traffic(256, 256, colors, 1.0, wavelets)
        for colors, wavelets in ((4, 100),) if quick else ((1, 1000), (4, 1000), (24, 20)):
            yield spec, Traffic(spec.rows, spec.columns, colors, 1.0, wavelets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    bandwidth = copy_bandwidth()
    print(f"this machine copies {bandwidth / 1e9:.0f} GB/s")
    for spec, traffic in cases(quick=parser.parse_args().quick):
        got = measure(workload("streams", spec, traffic), metered=False)
        planes = 2 * got.state_bytes * got.stepped / got.seconds
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{spec.name} {traffic.rows:4}×{traffic.cols:<4} {traffic.colors:2} colors: "
            f"{got.router_cycles_per_second:.2e} router-cycles/s over {got.stepped:,} cycles, planes "
            f"{planes / bandwidth:.0%} of copy, at most {memory:.2f} GiB so far"
        )


if __name__ == "__main__":
    main()

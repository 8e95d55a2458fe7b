"""Sum what every PE of a row holds into the first one: ``python examples/chain_reduce.py --pes 12 --elements 32``.

Each PE adds what it holds to what comes from the east and passes the sum on, wavelet by wavelet. PEs send on two
colors in turn, since a router could not tell wavelets from the east and from its own PE apart.
docs/fabric-kernels.md explains it.
"""

import argparse
from math import ceil

import numpy as np

from wse_emu.engines.fabric_kernel import Array, FabricKernel
from wse_emu.errors import WseError


def chain(rows: int, pes: int, elements: int, wafer: str) -> tuple[FabricKernel, Array]:
    """The kernel, and the array of each PE that it sums into column 0."""
    k = FabricKernel(rows, pes, wafer=wafer)
    x, colors = k.array("x", elements), [k.color("even"), k.color("odd")]
    for col in range(pes):
        column, sent, received = k[:, col], colors[col % 2], colors[(col + 1) % 2]
        if col > 0:
            column.route(sent, "RAMP", "W")
        if col < pes - 1:
            column.route(received, "E", "RAMP")
        with column.code() as pe:
            if col == 0:
                pe.recv_op(received, x, "add")
            elif col < pes - 1:
                pe.recv_op_send(received, sent, x, "add")
            else:
                pe.send(sent, x)
    return k, x


def main() -> None:
    """Run it and print what came out, beside what should."""
    parser = argparse.ArgumentParser(description="Sum what every PE of a row holds into the first one.")
    parser.add_argument("--pes", type=int, default=12, help="PEs in a row, 2 or more")
    parser.add_argument("--rows", type=int, default=1, help="rows, all at once")
    parser.add_argument("--elements", type=int, default=32, help="float32 elements of each PE")
    parser.add_argument("--wafer", default="wse3", help="wse1, wse2, wse3, mini or a TOML file")
    args = parser.parse_args()
    if args.pes < 2:
        parser.error(f"--pes {args.pes}: a chain has 2 PEs or more")
    try:
        k, x = chain(args.rows, args.pes, args.elements, args.wafer)
    except WseError as error:
        parser.error(str(error))
    held = np.random.default_rng(0).integers(-9, 10, (args.rows, args.pes, args.elements))
    k.set(x, held)
    run = k.run()
    found, expected = run.read(x)[:, 0], held.sum(axis=1)
    closed = k.spec.stream_setup + ceil(args.elements * k.spec.link_interval) + k.spec.stage_cycles * (args.pes - 1)
    print("result      ", *found[0, :8].astype(int), "…" if args.elements > 8 else "")
    print("as numpy's  ", "yes" if (found == expected).all() else "no")
    print("cycles      ", run.cycles)
    print("closed form ", closed, "= setup + B·interval + stage·(P − 1)")
    print("wavelets    ", *np.unique(run.links[1, :, 1:]), "over each link")


if __name__ == "__main__":
    main()

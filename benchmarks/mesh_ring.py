"""When do collectives win on a mesh, and when on a ring? Every figure of `docs/mesh-versus-ring.md`.

    python -m benchmarks.mesh_ring [--json | --plot FILE.png]

Cycles are those of the timing engine, but for the order of a ring: the wavelet engine runs that cycle by cycle.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from benchmarks import mesh_ring_formulas as formulas
from benchmarks.mesh_ring_costs import Found, first, fused_rings, members, stored_rings, trees
from benchmarks.mesh_ring_exchange import all_gather, gemm, order_of_ring
from wse_emu.hardware.wafer import WaferSpec, load_wafer

WAFERS = ("wse2", "wse3")
SPANS = (1, 46)
"""A member is a PE, or a region as wide as a 16th of a wafer's row of 750 PEs."""
COUNTS = (4, 16, 64)
SIZES = tuple(10**power for power in range(6))
ROW = 750
MESH, RING = 1.25, 1.32
"""What another study is quoted with, at 16-way tensor parallelism."""


@dataclass(frozen=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        lines = (self.header, *self.rows)
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.header))]
        text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join((self.title, text[0], "─" * len(text[0]), *text[1:]))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", metavar="FILE.png")
    asked = parser.parse_args(arguments)
    if asked.plot:
        plot(asked.plot)
    elif asked.json:
        print(json.dumps([asdict(table) for table in tables()], indent=1, ensure_ascii=False))
    else:
        print("\n\n".join(map(str, tables())))


def tables() -> Iterator[Table]:
    """All of the study."""
    yield winners()
    yield sixteen()
    yield whole_rows()
    yield ring_orders()
    yield exchanges()
    yield gemms()
    yield quoted()


def winners() -> Table:
    rows = [
        (wafer, str(span), str(count), *_winners(spec, count)) for wafer, span, spec in _wafers() for count in COUNTS
    ]
    header = ("wafer", "span", "P", *(f"B={size:,}" for size in SIZES), "even at", "by formula")
    return Table("all-reduce: the faster one, and how many times", header, tuple(rows))


def _winners(spec: WaferSpec, count: int) -> tuple[str, ...]:
    cells = (_winner(best_tree(spec, count, size), best_ring(spec, count, size)) for size in SIZES)
    even = first(lambda size: best_ring(spec, count, size) <= best_tree(spec, count, size))
    return (*cells, str(even), str(formulas.even(spec, count)))


def sixteen() -> Table:
    rows = []
    for wafer, span, spec in _wafers():
        for size in SIZES[1:5]:
            found = (*trees(spec, 16, size), *fused_rings(spec, 16, size), least(stored_rings(spec, 16, size)))
            rows.append((wafer, str(span), f"{size:,}", *(_short(one) for one in found)))
    header = ("wafer", "span", "B", "line", "square", "ring", "round walk", "rings x, y", "stored")
    return Table("all-reduce among 16: cycles", header, tuple(rows))


def whole_rows() -> Table:
    rows = []
    for wafer, spec in _specs():
        for size in (1, 3, 10, 100, 1000, 10000):
            tree, ring = trees(spec, ROW, size)[0], least(fused_rings(spec, ROW, size))
            rows.append((wafer, f"{size:,}", _short(tree), f"{ring.cycles:,}", _winner(tree.cycles, ring.cycles)))
    header = ("wafer", "B", "line", "ring", "faster")
    return Table(f"all-reduce along a row of {ROW} PEs: cycles", header, tuple(rows))


def ring_orders() -> Table:
    rows = []
    for wafer, spec in _specs():
        for steps in (1, 8, 15, 30):
            naive, interleaved = order_of_ring(spec, 16, 8, steps)
            rows.append((wafer, str(steps), str(naive), str(interleaved)))
    header = ("wafer", "steps", "naive", "interleaved")
    return Table("steps of 8 wavelets around 16 PEs on a line: cycles (wavelet engine)", header, tuple(rows))


def exchanges() -> Table:
    rows = []
    for wafer, spec in _specs():
        for count in (16, 64):
            for block in (1, 10, 100, 1000):
                cast, ring = all_gather(spec, count, block)
                rows.append((wafer, str(count), f"{block:,}", f"{cast:,}", f"{ring:,}", _winner(cast, ring)))
    header = ("wafer", "P", "block", "broadcasts", "ring", "faster")
    return Table("all-gather along a line, a block from every PE: cycles", header, tuple(rows))


def gemms() -> Table:
    rows = []
    for wafer, spec in _specs():
        for edge in (16, 64):
            for tile in (2, 8, 32):
                found = gemm(spec, edge, tile)
                rows.append((wafer, str(edge), f"{tile}²", *(f"{cycles:,}" for cycles in found)))
    header = ("wafer", "edge", "tile", "work", "broadcasts", "shifts", "work after broadcasts", "work during shifts")
    return Table("GEMM on edge² PEs, float16: cycles", header, tuple(rows))


def quoted() -> Table:
    """Where the two quoted factors lie among 16 members; the last columns: both against one ring on a line."""
    rows = [(wafer, str(span), *_quoted(spec)) for wafer, span, spec in _wafers()]
    header = ("wafer", "span", "mesh 1.25", "rings 1.32", "rings at most", "B", "mesh/ring", "rings/ring")
    return Table("16 members, where the quoted factors lie (B)", header, tuple(rows))


def _quoted(spec: WaferSpec) -> tuple[str, ...]:
    ahead = first(lambda size: best_ring(spec, 16, size) < MESH * best_tree(spec, 16, size)) - 1
    behind = first(lambda size: RING * best_ring(spec, 16, size) <= trees(spec, 16, size)[1].cycles)
    most, at = max((best_tree(spec, 16, size) / best_ring(spec, 16, size), -size) for size in _grid())
    both = min(range(1, 1 << 13), key=lambda size: _miss(spec, size))
    one = fused_rings(spec, 16, both)[0].cycles
    gains = (one / best_tree(spec, 16, both), one / best_ring(spec, 16, both))
    found = (f"{ahead}", f"{behind}", f"{most:.2f} at {-at:,}", f"{both:,}", *(f"{gain:.2f}" for gain in gains))
    return tuple(found)


def _miss(spec: WaferSpec, size: int) -> float:
    """How far both gains over one ring are from the quoted ones, by the closed forms."""
    one = formulas.line_ring(spec, 16, size)
    return abs(one / formulas.mesh(spec, 16, size) - MESH) + abs(one / formulas.rings(spec, 16, size) - RING)


def best_tree(spec: WaferSpec, count: int, size: int) -> int:
    return least(trees(spec, count, size)).cycles


def best_ring(spec: WaferSpec, count: int, size: int) -> int:
    return least(fused_rings(spec, count, size)).cycles


def least(found: Sequence[Found]) -> Found:
    return min(found, key=lambda one: one.cycles)


def _grid() -> list[int]:
    """Vectors up to what a PE's memory holds, ten a decade."""
    return sorted({round(10 ** (tenth / 10)) for tenth in range(41)})


def _winner(mesh: int, ring: int) -> str:
    return f"mesh {ring / mesh:.2f}" if mesh < ring else f"ring {mesh / ring:.2f}"


def _short(found: Found) -> str:
    return f"{found.cycles:,} {found.how}".rstrip()


def _specs() -> Iterator[tuple[str, WaferSpec]]:
    for wafer in WAFERS:
        yield wafer, members(load_wafer(wafer), 1)


def _wafers() -> Iterator[tuple[str, int, WaferSpec]]:
    for wafer in WAFERS:
        for span in SPANS:
            yield wafer, span, members(load_wafer(wafer), span)


def plot(path: str) -> None:
    """Cycles of the best tree over those of the best rings, by vector."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, len(WAFERS), sharey=True, figsize=(9, 4))
    for wafer, span, spec in _wafers():
        for count in COUNTS:
            ratios = [best_tree(spec, count, size) / best_ring(spec, count, size) for size in _grid()]
            axes[WAFERS.index(wafer)].loglog(
                _grid(), ratios, "-" if span == 1 else "--", label=f"P={count}, span {span}"
            )
    for wafer, one in zip(WAFERS, axes, strict=True):
        one.axhline(1, color="black", linewidth=0.5)
        one.set(title=wafer, xlabel="wavelets a member", ylabel="mesh / rings, cycles")
    axes[0].legend()
    plt.tight_layout()
    plt.savefig(path, dpi=100)


if __name__ == "__main__":
    main()

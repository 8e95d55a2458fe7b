"""The picture of a comparison: how fast each user is served against tokens/s in all."""

from pathlib import Path
from typing import Any

from wse_emu.report.folder import write_file
from wse_emu.systems import Comparison, SystemRow

COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of Okabe and Ito, which colour-blind readers tell apart; the wafer is black."""
MARKERS = "*osD^vP"
ROOM = 1.8
"""Factor that stays free around all points."""


def draw(found: Comparison, path: Path) -> None:
    """Write it as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots()
    rows = [row for row in found.rows if row.phase == "decode"]
    axes.set(xscale="log", yscale="log", xlabel="tokens/s in total", ylabel="tokens/s for each user")
    published = [one.tokens_per_second for one in found.published if one.system == found.wafer]
    _limits(axes, rows, published)
    for number, system in enumerate((found.wafer, *(gpu.name for gpu in found.gpus))):
        _line(axes, {row.users: row for row in rows if row.system == system}, sorted(found.asked.users), number)
    for users in found.asked.users:
        _diagonal(axes, users)
    _published(axes, published)
    asked = found.asked
    axes.set_title(f"{found.work.name}, {asked.dtype}, {asked.context:,} tokens of context for each user", fontsize=12)
    figure.legend(loc="outside right upper", title="how many of each, by users", frameon=False)

    def write(partial: Path) -> None:
        figure.savefig(partial, dpi=110, format="png")

    write_file(path, write)


def _limits(axes: Any, rows: list[SystemRow], published: list[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    each, total = (
        [getattr(row, f"tokens_per_second_{of}") for row in rows] + published for of in ("per_user", "total")
    )
    axes.set(xlim=(min(total) / ROOM, max(total) * ROOM), ylim=(min(each) / ROOM, max(each) * ROOM))
    axes.grid(which="major", color="0.9")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", rotation=30)


def _line(axes: Any, rows: dict[int, SystemRow], users: list[int], number: int) -> None:
    """Of one system, whose ``rows`` go by users."""
    if not rows:
        return
    chosen = [rows[count] for count in users if count in rows]
    counts = (str(rows[count].count) if count in rows else "–" for count in users)
    axes.plot(
        [row.tokens_per_second_total for row in chosen],
        [row.tokens_per_second_per_user for row in chosen],
        color=COLORS[number % len(COLORS)],
        marker=MARKERS[number % len(MARKERS)],
        markersize=max(5, 10 - number) if number else 13,  # what lies under another shows around it
        linewidth=1.5 if number else 2.5,
        zorder=3,
        label=f"{chosen[0].system}: {', '.join(counts)}",
    )


def _published(axes: Any, speeds: list[float]) -> None:
    """What was published of one user on the wafer."""
    if speeds:
        style = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "color": "black", "linestyle": "none"}
        axes.plot(speeds, speeds, **style, zorder=4, label="published, one user")


def _diagonal(axes: Any, users: int) -> None:
    """All points of so many users lie on it; its name stands where it enters the picture."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.plot([left, right], [left / users, right / users], color="0.6", linestyle=":", linewidth=1, zorder=1)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    x = max(left, bottom * users)
    box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
    name = f"{users:,} user{'s' * (users > 1)}"
    axes.annotate(
        name, (x, x / users), (6, 6), textcoords="offset points", color="0.35", fontsize=9, bbox=box, zorder=2,
        annotation_clip=True,
    )  # fmt: skip

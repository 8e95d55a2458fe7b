"""What sessions and results show of themselves in a notebook: a small table and a picture, in HTML and SVG alone."""

from collections.abc import Iterable, Mapping
from html import escape

Row = tuple[str, str, str]
"""What it is, how much, how it was obtained."""
Rectangle = tuple[str, int, int, int, int]
"""Name, x, y, width, height."""

_STYLE = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.4;max-width:660px"
_CELL = "text-align:left;vertical-align:top;font-size:13px;padding:2px 16px 2px 0;border:0;background:none"
_LEVEL = f"{_CELL};opacity:.7;white-space:nowrap"
_BAR_WIDTH, _BAR_HEIGHT, _NAME_WIDTH = 260, 18, 90
_WAFER_HEIGHT = 150


def card(title: str, rows: Iterable[Row], *pictures: str) -> str:
    """A titled table with pictures below it; it takes the notebook's own colors of text and ground."""
    lines = "".join(
        f'<tr style="background:none"><td style="{_LEVEL}">{escape(name)}</td>'
        f'<td style="{_CELL}">{escape(value)}</td><td style="{_LEVEL}">{escape(level)}</td></tr>'
        for name, value, level in rows
    )
    shown = "".join(f'<div style="margin-top:8px">{picture}</div>' for picture in pictures)
    table = f'<table style="border-collapse:collapse;margin:4px 0">{lines}</table>'
    return f'<div style="{_STYLE}"><b>{escape(title)}</b>{table}{shown}</div>'


def bars(values: Mapping[str, float], unit: str) -> str:
    """Horizontal bars, the longest first, as SVG; "" for none."""
    found = sorted(((name, value) for name, value in values.items() if value > 0), key=lambda item: -item[1])
    if not found:
        return ""
    most, parts = found[0][1], []
    for i, (name, value) in enumerate(found):
        y = i * _BAR_HEIGHT
        width = max(1.0, _BAR_WIDTH * value / most)
        parts.append(
            f'<text x="0" y="{y + 13}">{escape(name)}</text>'
            f'<rect x="{_NAME_WIDTH}" y="{y + 3}" width="{width:.1f}" height="12" rx="2" fill="#3b8fb5"/>'
            f'<text x="{_NAME_WIDTH + width + 6:.1f}" y="{y + 13}" opacity=".75">{value:,.0f}</text>'
        )
    size = f'width="{_NAME_WIDTH + _BAR_WIDTH + 80}" height="{len(found) * _BAR_HEIGHT}"'
    return _svg(size, f"{unit} by kernel", parts)


def wafer(columns: int, rows: int, regions: Iterable[Rectangle]) -> str:
    """Where regions lie on a wafer of ``columns`` × ``rows`` PEs, as SVG."""
    scale = _WAFER_HEIGHT / rows
    width = max(columns * scale, 1.0)
    parts = [f'<rect width="{width:.1f}" height="{_WAFER_HEIGHT}" fill="currentColor" fill-opacity=".09"/>']
    for name, x, y, wide, high in regions:
        place = f'x="{x * scale:.2f}" y="{y * scale:.2f}" width="{max(wide * scale, 1):.2f}"'
        parts.append(
            f'<rect {place} height="{max(high * scale, 1):.2f}" fill="#3b8fb5" stroke="#fff" stroke-width=".5">'
            f"<title>{escape(name)}</title></rect>"
        )
    return _svg(f'width="{width:.0f}" height="{_WAFER_HEIGHT}"', "regions on the wafer", parts)


def _svg(size: str, label: str, parts: Iterable[str]) -> str:
    look = 'font-size="12" font-family="system-ui,sans-serif" fill="currentColor"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(label)}"'
    return f"{head} {size} {look}>{''.join(parts)}</svg>"

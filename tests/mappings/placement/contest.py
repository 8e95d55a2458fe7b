"""The ISPD 2020 contest's rules by plain loops: what a painted solution costs, after a check of everything in it.

Reads both files by itself and shares no code with what is tested; the formulas are those of the contest's description.
"""

from math import ceil

Conv = tuple[int, int, int, int, int, int, int]
"""H W R S C K T."""


def painted_score(kgraph: str, paint: str) -> float:
    """The score of a solution; AssertionError where it breaks a rule."""
    head, kernels, edges = read(kgraph)
    lines = paint.splitlines()
    assert [line.split("]")[0].replace(" ", "") for line in lines] == [f"{kind}[{index}" for kind, index in kernels]
    taken = [[False] * head["width"] for _ in range(head["height"])]
    centres, slowest = {}, 0.0
    for line, ((_, index), convs) in zip(lines, kernels.items(), strict=True):
        x, y, turned, h, w, *parts = map(int, line.split(":")[1].split())
        assert turned in (0, 90)
        high, wide, time, memory = kernel(convs, h, w, parts)
        assert memory <= head["memlimit"]
        width, height = (high, wide) if turned else (wide, high)
        assert 0 <= x <= x + width <= head["width"]
        assert 0 <= y <= y + height <= head["height"]
        for row in range(y, y + height):
            assert not any(taken[row][x : x + width])
            taken[row][x : x + width] = [True] * width
        centres[index] = x + width / 2, y + height / 2
        slowest = max(slowest, time)
    ends = [(centres[a], centres[b]) for a, b in edges]
    length = sum(abs(ax - bx) + abs(ay - by) for (ax, ay), (bx, by) in ends)
    return head["wdeltat"] * slowest + head["wlength"] * length


def kernel(convs: list[Conv], h: int, w: int, parts: list[int]) -> tuple[int, int, float, float]:
    """Height, width, time and memory of convolutions side by side, with c' and k' of each in ``parts``."""
    assert len(parts) == 2 * len(convs)
    assert 1 <= h <= convs[0][0]
    assert 1 <= w <= convs[0][1]
    heights, widths, times, memories = zip(
        *(one_conv(conv, h, w, *parts[2 * i : 2 * i + 2]) for i, conv in enumerate(convs)), strict=True
    )
    return max(heights), sum(widths), max(times), max(memories)


def one_conv(conv: Conv, h: int, w: int, c: int, k: int) -> tuple[int, int, float, float]:
    """Height, width, time and memory of one convolution."""
    rows, columns, r, s, inputs, outputs, t = conv
    assert 1 <= c <= inputs
    assert 1 <= k <= outputs
    steps = ceil(rows / h) * ceil(columns / w) * ceil(inputs / c) * ceil(outputs / k)
    held = (inputs / c) * (outputs / k) * r * s
    held += ((columns + s - 1) / w) * ((rows + r - 1) / h) * (outputs / k)
    return h * w * (c + 1), 3 * k, steps * r * s / t**2, held


def read(kgraph: str) -> tuple[dict[str, int], dict[tuple[str, str], list[Conv]], list[tuple[str, str]]]:
    """Header, convolutions by kind and number, and connections between kernels."""
    head: dict[str, int] = {}
    kernels: dict[tuple[str, str], list[Conv]] = {}
    edges = []
    for line in kgraph.splitlines():
        kind, bracket, rest = line.partition("[")
        if not bracket:
            key, equals, value = line.partition("=")
            if equals and value.strip().isdigit():
                head[key] = int(value)
        elif "->" in line:
            target, _, after = line.split("->")[1].strip().partition("[")
            if "input" not in kind and "output" not in target:
                edges.append((rest.partition("]")[0].strip(), after.partition("]")[0].strip()))
        elif kind in {"conv", "dblock", "cblock"}:
            index, _, values = rest.partition("]")
            given = dict(part.split("=") for part in values.split() if "=" in part and "name" not in part)
            kernels[kind, index.strip()] = convolutions(kind, {key: int(value) for key, value in given.items()})
    return head, kernels, edges


def convolutions(kind: str, d: dict[str, int]) -> list[Conv]:
    """What a kernel is made of."""
    if kind == "conv":
        return [(d["H"], d["W"], d["R"], d["S"], d["C"], d["K"], d["T"])]
    h, w, f = d["h"], d["w"], d["f"]
    if kind == "dblock":
        return [(h, w, 1, 1, f, f // 4, 1), (h, w, 3, 3, f // 4, f // 4, 1), (h, w, 1, 1, f // 4, f, 1)]
    return [
        (h, w, 1, 1, f // 2, f // 4, 1),
        (h, w, 3, 3, f // 4, f // 4, 2),
        (h // 2, w // 2, 1, 1, f // 4, f, 1),
        (h, w, 1, 1, f // 2, f, 2),
    ]

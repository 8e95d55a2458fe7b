"""The README's Python examples run as they stand."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    printed = capsys.readouterr().out
    assert len(blocks) == 3
    assert "twobles" in printed
    assert "all_reduce add" in printed
    assert "883350 1923" in printed
    assert "'wavelets': " in printed


def test_its_pictures_are_there_and_a_command_makes_them() -> None:
    shown = set(re.findall(r"!\[[^]]+\]\((docs/pictures/\w+\.png)\)", README.read_text("utf-8")))
    made = re.findall(r'take\(page, "(\w+)"', (README.parent / "benchmarks" / "readme_pictures.py").read_text("utf-8"))
    assert shown == {f"docs/pictures/{name}.png" for name in made}
    assert len(shown) == 3
    for name in shown:
        assert (README.parent / name).read_bytes().startswith(b"\x89PNG")


def test_the_examples_gemv_is_a_kernel() -> None:
    from wse_emu.program import Builder, Layout

    names: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)[-1], names)
    b = Builder("example", 4, 3)
    w = b.weight("w", (6, 8), Layout(("x", "y")))
    y = names["gemv"](b, w, b.input("x", (8,), Layout(("y",))))  # type: ignore[operator]
    assert y.shape == (6,)
    assert not y.partial

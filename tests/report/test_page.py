"""report.html in a real browser: what it loads, what it shows, and that its numbers are those of the run."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wse_emu
from benchmarks.chromium import browser, chromium
from wse_emu.baseline import baselines, model_work
from wse_emu.decode import Result, Session
from wse_emu.engines.lowering import program_routes
from wse_emu.fabric.defects import Defects
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.routes import PORTS, Route, allocate_colors
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.program.memory import bytes_map
from wse_emu.report.page.build import write_page
from wse_emu.report.page.data import collect, load, save
from wse_emu.report.page.serve import page_server
from wse_emu.report.summary import summary

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")
pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="no Chromium here: apt-get install chromium, or CHROMIUM=path"),
    # Playwright's own event loop, while the browser starts and ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 400, "height": 820}
READY = "html[data-ready]"
SMALL = replace(load_wafer("wse3"), columns=180, rows=140, row_seams=(50, 100))
"""A piece of a wafer: quick to open; the slow test has the whole."""
WHOLE = f"wse.state.camera.size * {SMALL.rows} <= wse.maps[0].height"


@dataclass
class Run:
    """A decode with its page."""

    session: Session
    result: Result
    report: dict[str, Any]
    folder: Path

    @property
    def page(self) -> str:
        return (self.folder / "report.html").as_uri()


def decoded(folder: Path, mapping: str, tokens: int = 3, **options: Any) -> Run:
    """What `wse-emu decode --out` leaves, of the model `tiny`."""
    model = wse_emu.load_model("tiny")
    session = wse_emu.map_model(model, mapping=mapping, positions=32, record_steps=True, **{"wafer": SMALL, **options})
    result = session.decode("Once upon a time", tokens=tokens)
    names = {
        "model": model.name,
        "mapping": mapping,
        "experts_lie": "sharded",
        "placement": session.plan.placement,
        "reduce": "auto",
    }
    facts = {**names, "backend": "numpy", "engine": "timing", "precision": session.precision.name}
    report = summary(result, session.spec, session.plan, baselines(model_work(model.config), position=8), facts)
    folder.mkdir()
    save(folder, collect(session, result, report))
    (folder / "report.json").write_text(json.dumps(report))
    write_page(folder / "report.html", [load(folder)])
    return Run(session, result, report, folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    top = tmp_path_factory.mktemp("runs")
    return {mapping: decoded(top / mapping, mapping) for mapping in ("shared", "pipeline")}


@pytest.fixture(scope="module")
def chrome() -> "Iterator[Browser]":
    with browser() as running:
        yield running


Open = Callable[..., "Page"]


@pytest.fixture
def show(chrome: "Browser") -> Iterator[Open]:
    """Open a page; in the end it must have asked for nothing but itself, and complained of nothing."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []
    asked: list[str] = []

    def opened(address: str, *, size: Any = WIDE, scheme: Any = "light", **options: Any) -> "Page":
        context = chrome.new_context(viewport=size, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda request: asked.append(request.url) if request.url != address else None)
        page.goto(address)
        page.wait_for_selector(READY)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong
    assert not [url for url in asked if not url.startswith("data:")]


def first_drawn(page: "Page") -> float:
    """Milliseconds from the start until the map was there, which is later than the browser's own first paint."""
    page.wait_for_timeout(50)
    times = page.evaluate(
        "['first-contentful-paint', 'drawn'].map(one => performance.getEntriesByName(one)[0].startTime)"
    )
    return float(max(times))


def number(page: "Page", key: str, run: str = "A") -> int:
    """A whole number in the panel of the chosen PE."""
    text = page.get_attribute(f'#panel [data-key="{key}"][data-run="{run}"]', "data-total")
    assert text is not None
    return int(text)


def canvas(page: "Page", place: int = 0) -> "Locator":
    return page.locator(".map canvas").nth(place)


def click_pe(page: "Page", x: int, y: int, place: int = 0) -> None:
    """Click the middle of a PE that is in sight."""
    at = page.evaluate(f"(() => {{ const m = wse.maps[{place}]; return [m.left({x}.5), m.top({y}.5)]; }})()")
    canvas(page, place).click(position={"x": at[0], "y": at[1]})


def assert_pe_is_that_of_the_run(page: "Page", run: Run, x: int, y: int, tag: str = "A") -> None:
    """Every number in the panel, held to the run's own arrays."""
    for direction, way in enumerate("EWNS"):
        assert number(page, f"links_{way}", tag) == run.result.links[direction, y, x]
    memory = run.session.plan.memory
    (parts,) = (held for region, held in memory.by_region.items() if region.contains((x, y)))
    for kind, size in parts.items():
        if size:
            assert number(page, kind, tag) == size
    assert sum(parts.values()) == bytes_map(memory, run.session.spec)[y, x]
    busy, wait = number(page, "busy", tag), number(page, "wait", tag)
    assert busy + wait == sum(run.report["cycles_per_token"])
    assert busy == number(page, "compute", tag) + number(page, "streams", tag)


def test_it_loads_alone_in_less_than_two_seconds(show: Open, runs: dict[str, Run]) -> None:
    page = show(runs["pipeline"].page)
    assert "tiny on wse3" in page.inner_text("h1")
    assert first_drawn(page) < 2000
    assert (runs["pipeline"].folder / "report.html").stat().st_size < 5_000_000


@contextmanager
def served(text: str) -> Iterator[str]:
    """The address of a page while it is served."""
    with page_server(text) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def test_the_page_cannot_reach_the_network_even_if_it_tries(chrome: "Browser", runs: dict[str, Run]) -> None:
    with served("reached") as address, chrome.new_context() as context:
        page = context.new_page()
        ask = f"fetch('{address}', {{mode: 'no-cors'}}).then(() => 'reached', () => 'refused')"
        assert page.evaluate(ask) == "reached", "as any other page may"
        page.goto(runs["shared"].page)
        page.wait_for_selector(READY)
        assert page.evaluate(ask) == "refused"


def test_figures_and_tables_are_those_of_the_report(show: Open, runs: dict[str, Run]) -> None:
    report = runs["pipeline"].report
    page = show(runs["pipeline"].page)
    for name, cycles in report["cycles_by_kernel"].items():
        if cycles >= 0.5:
            shown = page.get_attribute(f'[data-kernel="{name}"]', "data-value")
            assert float(shown or "nan") == cycles
    rates = [float(cell.get_attribute("data-rate") or "nan") for cell in page.locator("[data-rate]").all()]
    assert rates == [report["tokens_per_second"], *(gpu["tokens_per_second_total"] for gpu in report["baseline"])]
    assert f"{report['tokens_per_second']:,.0f}" in page.inner_text("#figures")
    assert page.locator("#regions tbody tr").count() == len(report["regions"])
    assert page.locator("#roof canvas").count() == page.locator("#tokens canvas").count() == 1
    assert {cell.inner_text() for cell in page.locator(".level").all()} >= {
        "timing model",
        "estimate",
        "counted",
        "computed",
    }


def test_the_wheel_goes_from_the_wafer_to_a_pe_and_a_click_shows_its_numbers(show: Open, runs: dict[str, Run]) -> None:
    run = runs["pipeline"]
    page = show(run.page)
    assert page.evaluate(WHOLE), "the whole wafer is in sight at first"
    region = run.session.plan.regions["layer 1"]
    x, y = region.x + 3, region.y + 2
    at = page.evaluate(f"[wse.maps[0].left({x}.5), wse.maps[0].top({y}.5)]")
    canvas(page).hover(position={"x": at[0], "y": at[1]})
    for _ in range(14):
        page.mouse.wheel(0, -400)
    assert page.evaluate("wse.state.camera.size") > 150
    click_pe(page, x, y)
    assert page.inner_text("#panel h2") == f"PE {x}, {y}"
    assert "layer 1: column 3, row 2" in page.inner_text("#panel")
    assert_pe_is_that_of_the_run(page, run, x, y)
    assert "Load of links" in page.inner_text("#legend")


def test_the_keyboard_does_what_the_mouse_does(show: Open, runs: dict[str, Run]) -> None:
    run = runs["shared"]
    page = show(run.page)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "CANVAS":
            break
    page.keyboard.press("1")
    used = run.session.plan.memory.by_region
    assert page.evaluate("wse.state.camera.size") > 5
    before = page.evaluate("wse.state.camera.x")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("wse.state.camera.x") < before
    page.keyboard.press("+")
    page.keyboard.press("Enter")
    x, y = page.evaluate("[wse.state.chosen.x, wse.state.chosen.y]")
    assert any(region.contains((x, y)) for region in used)
    assert_pe_is_that_of_the_run(page, run, x, y)
    page.keyboard.press("Shift+ArrowDown")
    assert_pe_is_that_of_the_run(page, run, x, y + 1)
    page.keyboard.press("0")
    assert page.evaluate(WHOLE)
    page.fill("#goto-pe", f"{x + 1}, {y}")
    page.keyboard.press("Enter")
    assert page.inner_text("#panel h2") == f"PE {x + 1}, {y}"


def test_colors_and_routes_are_those_that_the_program_was_given(show: Open, runs: dict[str, Run]) -> None:
    run = runs["pipeline"]
    program, spec = run.session.plan.program, run.session.spec
    assert_routes(show(run.page), program_routes(program, Mesh.from_spec(spec)), spec)


def assert_routes(page: "Page", routes: list[Route], spec: WaferSpec) -> None:
    colors = allocate_colors(routes, spec)
    generator = np.random.default_rng(0)
    for _ in range(60):
        route = routes[generator.integers(len(routes))]
        x = int(route.region.x + generator.integers(route.region.width))
        y = int(route.region.y + generator.integers(route.region.height))
        found = page.evaluate(f"wse.routesAt(wse.state.runs[0], {x}, {y}).map(r => [r.color, r.inputs, r.outputs])")
        wanted = set()
        for other in routes:
            if other.region.contains((x, y)):
                at = y - other.region.y, x - other.region.x
                if other.used[at]:
                    wanted.add((colors[other.name], int(other.inputs[at]), int(other.outputs[at])))
        assert {tuple(one) for one in found} == wanted
    assert max(PORTS.values()) == 16, "as 35-routes.js has them"


def test_the_metrics_of_all_pes_are_the_arrays_of_the_run(show: Open, runs: dict[str, Run]) -> None:
    run = runs["pipeline"]
    page = show(run.page)
    every = "[...Array(arr.length).keys()].reduce((s, i) => (s * 31 + arr[i] % 1000003 + 7) % 1000003, 0)"
    for direction, way in enumerate("EWNS"):
        found = page.evaluate(f"(() => {{ const arr = wse.state.runs[0].arrays.links_{way}; return {every}; }})()")
        assert found == checksum(run.result.links[direction])
    for metric in page.locator("#metric option").all():
        page.select_option("#metric", metric.get_attribute("value"))
        assert page.inner_text("#metric option:checked") in page.inner_text("#legend")
        for scale in ("linear", "log", "rank"):
            page.select_option("#scale", scale)


def checksum(values: np.ndarray) -> int:
    total = 0
    for value in values.ravel().tolist():
        total = (total * 31 + value % 1000003 + 7) % 1000003
    return total


def test_the_time_is_scrubbed_together_with_the_map(show: Open, runs: dict[str, Run]) -> None:
    run = runs["pipeline"]
    facts = load(run.folder)["timeline"]
    page = show(run.page)
    page.focus("#cycle")
    page.keyboard.press("ArrowRight")
    assert "cycle 1 · embedding · embedding" in page.inner_text("#now")
    kernel, step, region, start, end = next(span for span in facts["spans"] if facts["kernels"][span[0]] == "mlp")
    page.evaluate(f"wse.setCycle({(start + end) // 2})")
    assert f"{facts['steps'][step]} · mlp" in page.inner_text("#now")
    working = page.evaluate("wse.working(wse.state.runs[0]).map(one => [one.kernel, one.region])")
    assert [facts["kernels"][kernel], region] in working
    before = shot(page)
    page.click("#after")
    assert int(page.input_value("#cycle")) > (start + end) // 2
    page.wait_for_timeout(60)
    assert shot(page) != before, "the map shows what is at work"


def shot(page: "Page") -> bytes:
    return canvas(page).screenshot()


def test_two_runs_lie_side_by_side(show: Open, runs: dict[str, Run], tmp_path: Path) -> None:
    one, other = runs["pipeline"], runs["shared"]
    write_page(tmp_path / "two.html", [load(one.folder), load(other.folder)])
    page = show((tmp_path / "two.html").as_uri())
    boxes = [canvas(page, i).bounding_box() for i in (0, 1)]
    assert boxes[0]
    assert boxes[1]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    (shared,) = other.session.plan.regions.values()
    region = next(region for region in one.session.plan.regions.values() if region.overlaps(shared))
    x, y = max(region.x, shared.x) + 1, max(region.y, shared.y) + 1
    page.evaluate(f"wse.choose({x}, {y})")
    assert_pe_is_that_of_the_run(page, one, x, y, "A")
    assert_pe_is_that_of_the_run(page, other, x, y, "B")
    for tag, run in (("A", one), ("B", other)):
        shown = page.get_attribute(f'[data-kernel="mlp"][data-run="{tag}"]', "data-value")
        assert float(shown or "nan") == run.report["cycles_by_kernel"]["mlp"]
    size = page.evaluate("wse.state.camera.size")
    canvas(page, 1).hover()
    page.mouse.wheel(0, -300)
    assert page.evaluate("wse.state.camera.size") > size, "both move together"
    assert page.locator("#lanes canvas").count() == 2


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1400", "400"])
def test_nothing_is_wider_than_the_window_and_the_theme_follows(
    show: Open, runs: dict[str, Run], size: dict[str, int]
) -> None:
    page = show(runs["pipeline"].page, size=size)
    texts = "[...document.querySelectorAll('h1, h2, h3, button, .value')]"
    dark = "getComputedStyle(document.documentElement).backgroundColor === 'rgb(15, 17, 19)'"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(dark) == (scheme == "dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert page.evaluate(f"{texts}.filter(one => one.scrollWidth > one.clientWidth + 1).length") == 0, "clipped"
        page.click("#theme")
        assert page.evaluate(dark) == (scheme == "light")


def test_it_is_served_on_loopback(show: Open, runs: dict[str, Run]) -> None:
    with served((runs["shared"].folder / "report.html").read_text("utf-8")) as address:
        page = show(address)
        assert "tiny on wse3" in page.inner_text("h1")
        assert page.context.request.get(f"{address}etc/passwd").status == 404


def test_two_fingers_zoom(show: Open, runs: dict[str, Run]) -> None:
    page = show(runs["shared"].page, size=PHONE, has_touch=True, is_mobile=True)
    canvas(page).scroll_into_view_if_needed()
    box = canvas(page).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    client = page.context.new_cdp_session(page)
    size = page.evaluate("wse.state.camera.size")

    def touch(kind: str, *apart: int) -> None:
        points = [{"x": x + side * a, "y": y, "id": i} for a in apart for i, side in enumerate((-1, 1))]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 20)
    for apart in (30, 45, 60):
        touch("touchMove", apart)
    touch("touchEnd")
    assert page.evaluate("wse.state.camera.size") > 2 * size


def test_dead_pes_are_shown_as_such(show: Open, tmp_path: Path) -> None:
    dead = (5, 1)
    run = decoded(tmp_path / "dead", "pipeline", 1, defects=Defects(frozenset({dead})))
    page = show(run.page)
    page.evaluate("wse.choose(5, 1)")
    assert "dead" in page.inner_text("#panel")
    routes = program_routes(
        run.session.plan.program, Mesh.from_spec(run.session.spec, defects=Defects(frozenset({dead})))
    )
    assert_routes(page, routes, run.session.spec)


PAN = """
async (size) => {
  const map = wse.maps[0], used = map.run.used;
  Object.assign(wse.state.camera, { x: used.x + used.width / 2, y: used.y + used.height / 2, size });
  return await new Promise((done) => {
    let [first, frames] = [0, 0];
    const tick = (now) => {
      first ||= now;
      frames++;
      wse.panBy(frames % 40 < 20 ? 7 : -7, 3, map);
      frames < 60 ? requestAnimationFrame(tick) : done((1000 * (frames - 1)) / (now - first));
    };
    requestAnimationFrame(tick);
  });
}
"""


@pytest.mark.slow
def test_the_whole_wafer_is_small_quick_and_smooth(show: Open, tmp_path: Path) -> None:
    run = decoded(tmp_path / "whole", "shared", 2, shape=(1170, 755), wafer="wse3")
    assert (run.folder / "report.html").stat().st_size < 5_000_000
    page = show(run.page)
    assert first_drawn(page) < 2000
    assert_pe_is_that_of_the_run(page, run, *page.evaluate("[wse.state.chosen.x, wse.state.chosen.y]"))
    for size in (0.5, 4, 18, 30, 60, 120, 220):
        assert page.evaluate(PAN, size) > 30, f"frames a second at {size} pixels a PE"

"""The study of meshes and rings: what its page says is what its command prints, and what its formulas say holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import mesh_ring, mesh_ring_formulas
from benchmarks.mesh_ring_costs import first, fused_rings, members, trees
from benchmarks.mesh_ring_exchange import order_of_ring, summa
from benchmarks.ring_fabric import naive_order, ring_fabric
from tests.engines.streams import ring
from tests.kernels.running import Running, normal
from wse_emu.engines.timing import collective_cycles
from wse_emu.hardware.wafer import load_wafer

PAGE = (Path(__file__).parent.parent / "docs" / "mesh-versus-ring.md").read_text("utf-8")
WAFERS = st.sampled_from(("wse2", "wse3"))
SPANS = st.sampled_from((1, 2, 46))


def test_the_page_holds_the_tables_that_are_quick_to_make() -> None:
    for table in (mesh_ring.sixteen(), mesh_ring.exchanges()):
        assert str(table) in PAGE


@pytest.mark.slow
def test_the_page_holds_all_that_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    mesh_ring.main([])
    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert len(blocks) == 7
    for block in blocks:
        assert block in PAGE


@settings(max_examples=40, deadline=None)
@given(wafer=WAFERS, span=SPANS, count=st.sampled_from((4, 16, 36, 64)), wavelets=st.integers(1, 5000))
def test_rings_take_what_their_closed_forms_say(wafer: str, span: int, count: int, wavelets: int) -> None:
    spec = members(load_wafer(wafer), span)
    forms = (mesh_ring_formulas.line_ring, mesh_ring_formulas.round_walk, mesh_ring_formulas.rings)
    assert [one.cycles for one in fused_rings(spec, count, wavelets)] == [f(spec, count, wavelets) for f in forms]


@settings(max_examples=40, deadline=None)
@given(wafer=WAFERS, span=SPANS, count=st.integers(4, 64), wavelets=st.integers(1, 5000))
def test_lines_take_what_their_closed_forms_say(wafer: str, span: int, count: int, wavelets: int) -> None:
    spec = members(load_wafer(wafer), span)
    for name, form in (("chain", mesh_ring_formulas.chain), ("two_way", mesh_ring_formulas.two_way)):
        assert collective_cycles(spec, name, count, wavelets, "float16", back=True) == form(spec, count, wavelets)


@pytest.mark.parametrize("wafer", ["wse2", "wse3"])
@pytest.mark.parametrize("span", [1, 46])
@pytest.mark.parametrize("count", [4, 16, 64])
def test_rings_catch_up_where_the_formula_says(wafer: str, span: int, count: int) -> None:
    """The timing engine chooses among more algorithms than the formula has, which matters on one wafer a little."""
    spec = members(load_wafer(wafer), span)
    found = first(lambda size: mesh_ring.best_ring(spec, count, size) <= mesh_ring.best_tree(spec, count, size))
    assert mesh_ring_formulas.even(spec, count) == pytest.approx(found, rel=0.05)


def test_the_page_says_where_chains_on_a_square_are_caught_up_with_and_why_that_is_late_on_wse3() -> None:
    wse2, wse3 = (members(load_wafer(name), 1) for name in ("wse2", "wse3"))
    regions = members(load_wafer("wse2"), 46)
    found = [round(mesh_ring_formulas.even_with_chains(one, count)) for one in (wse2, regions) for count in (16, 64)]
    assert found == [12, 40, 139, 528]
    assert [mesh_ring_formulas.even(one, 16) for one in (wse3, replace(wse3, stream_setup=0))] == [188, 20]


@settings(max_examples=15, deadline=None)
@given(wafer=WAFERS, span=SPANS, count=st.sampled_from((4, 16, 64)), wavelets=st.integers(1, 20000))
def test_no_ring_leads_a_chain_by_more_than_latency_and_one_block(
    wafer: str, span: int, count: int, wavelets: int
) -> None:
    """It moves all but one of P blocks, twice."""
    spec = members(load_wafer(wafer), span)
    line = trees(spec, count, wavelets)[0].cycles
    latency = mesh_ring_formulas.chain(spec, count, 0)
    assert mesh_ring.best_ring(spec, count, wavelets) >= (line - latency) * (count - 1) / count


@pytest.mark.parametrize("wafer", ["wse2", "wse3"])
@pytest.mark.parametrize("count", [4, 7])
def test_a_ring_that_adds_on_the_way_is_timed_as_the_fabric_runs_it(wafer: str, count: int) -> None:
    spec, rng = members(load_wafer(wafer), 1), np.random.default_rng(0)
    expected = fused_rings(spec, count, 5 * count)[0].cycles
    for order, hops in ((ring(count), 0), (naive_order(count), 1)):
        k, x = ring_fabric(spec, order, 5)
        held = rng.integers(-9, 10, (1, count, 5 * count))
        k.set(x, held)
        run = k.run()
        np.testing.assert_array_equal(run.read(x), np.broadcast_to(held.sum(axis=1, keepdims=True), held.shape))
        assert run.cycles == expected + hops * spec.hop_cycles, "a whole way back costs one hop, all in all"


def test_one_step_of_a_naive_ring_takes_its_whole_way_back() -> None:
    spec = members(load_wafer("wse3"), 1)
    naive, interleaved = order_of_ring(spec, 7, 4, 1)
    assert naive - interleaved == (7 - 1 - 2) * spec.hop_cycles


def test_what_broadcasts_bring_is_the_product() -> None:
    rng, edge, tile = np.random.default_rng(1), 3, 2
    a, w = normal(rng, edge, edge, tile, tile), normal(rng, edge, edge, tile, tile)
    zero = np.zeros_like(a)
    a, w = a.astype(np.float16), w.astype(np.float16)
    (got,) = Running("numpy", summa(edge, tile, work=True, cast=True))({"a": a, "w": w, "c": zero})
    product = np.einsum("yktu,kxuv->yxtv", a.astype(np.float64), w.astype(np.float64))
    roundings = edge * tile + 1  # a sum of so many terms, each rounded to 11 bits
    np.testing.assert_allclose(got, product, rtol=0, atol=roundings * 2**-12 * float(np.abs(product).max()))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fabric.strategies import meshes, plain
from wse_emu.errors import WseError
from wse_emu.fabric import Defects, Direction, Mesh, Region
from wse_emu.hardware import load_wafer


def test_from_spec_takes_the_usable_pes_or_all() -> None:
    spec = load_wafer("wse3")
    usable, whole = Mesh.from_spec(spec), Mesh.from_spec(spec, whole_fabric=True)
    assert (usable.columns, usable.rows) == (755, 1170)
    assert (whole.columns, whole.rows) == (762, 1172)
    dead = Mesh.from_spec(spec, defects=Defects.of([(3, 4)]))
    assert (3, 4) in usable
    assert (3, 4) not in dead


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (-1, 3)])
def test_an_empty_mesh_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(WseError, match=f"a mesh of {size[0]}×{size[1]} PEs is empty; at least 1×1 works"):
        Mesh(*size)


@pytest.mark.parametrize("defects", [Defects.of([(4, 0)]), Defects.of(links=[((3, 2), (3, 3))])])
def test_defects_outside_are_refused(defects: Defects) -> None:
    with pytest.raises(WseError, match="outside the mesh of 4×3 PEs"):
        Mesh(4, 3, defects=defects)


@given(mesh=meshes())
def test_neighbours_are_those_that_links_join(mesh: Mesh) -> None:
    oracle = plain(mesh)
    for pe in oracle:
        found = mesh.neighbours(pe)
        assert {to for _, to in found} == set(oracle[pe])
        assert all((pe[0] + way.step[0], pe[1] + way.step[1]) == to for way, to in found)
    assert mesh.link_count == oracle.number_of_edges()


@pytest.mark.parametrize("region", [Region(0, 0, 4, 3), Region(3, 2, 1, 1), Region(1, 0, 2, 3)])
def test_regions_on_the_mesh_pass(region: Region) -> None:
    Mesh(4, 3).check_region(region, "layer 0")


@pytest.mark.parametrize("region", [Region(1, 0, 4, 3), Region(0, 1, 4, 3), Region(-1, 0, 2, 2), Region(0, -1, 2, 2)])
def test_regions_off_the_mesh_name_it_and_what_works(region: Region) -> None:
    with pytest.raises(WseError, match=r"leaves the mesh of 4×3 PEs; columns 0 to 3 and rows 0 to 2 work") as caught:
        Mesh(4, 3).check_region(region, "layer 7")
    assert str(caught.value).startswith(f"layer 7: the region {region} ")


@pytest.mark.parametrize("region", [Region(0, 0, 0, 1), Region(1, 1, 2, -1)])
def test_empty_regions_are_refused(region: Region) -> None:
    with pytest.raises(WseError, match=r"the head: the region .* is empty"):
        Mesh(4, 3).check_region(region, "the head")


@given(mesh=meshes(), data=st.data())
def test_regions_over_defects_name_one(mesh: Mesh, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, mesh.columns - 1)), data.draw(st.integers(0, mesh.rows - 1))
    region = Region(x, y, data.draw(st.integers(1, mesh.columns - x)), data.draw(st.integers(1, mesh.rows - y)))
    dead = [f"PE {pe}" for pe in mesh.defects.pes if region.contains(pe)]
    links = [sorted(link) for link in mesh.defects.links if all(region.contains(pe) for pe in link)]
    dead = dead or [f"link {a}-{b}" for a, b in links]
    if not dead:
        mesh.check_region(region, "layer 0")
        return
    with pytest.raises(WseError, match="covers the dead") as caught:
        mesh.check_region(region, "layer 0")
    assert any(f"dead {defect};" in str(caught.value) for defect in dead)


@given(mesh=meshes())
def test_links_that_are_no_edge_of_the_digraph_are_closed(mesh: Mesh) -> None:
    edges = set(plain(mesh).to_directed().edges)
    for way, y, x in np.ndindex(mesh.closed.shape):
        dx, dy = Direction(way).step
        assert mesh.closed[way, y, x] == (((x, y), (x + dx, y + dy)) not in edges)

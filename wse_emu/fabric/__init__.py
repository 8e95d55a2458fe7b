"""The mesh of PEs: coordinates, regions, defects and the view as a networkx graph."""

from wse_emu.fabric.defects import Defects
from wse_emu.fabric.directions import DIRECTIONS, Direction
from wse_emu.fabric.graph import MeshDiGraph, MeshGraph
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region

__all__ = ["DIRECTIONS", "Defects", "Direction", "Mesh", "MeshDiGraph", "MeshGraph", "Region"]

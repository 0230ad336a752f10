"""Geometry: the flat torus, the cell's flat coordinates, and their product."""

from flowllm.manifolds.base import Manifold
from flowllm.manifolds.crystal import CrystalManifold, CrystalState
from flowllm.manifolds.euclidean import Euclidean
from flowllm.manifolds.lattice import CELL_MAPS, DEFAULT_CELL_MAP, CellMap, cell_map, metric_tensor
from flowllm.manifolds.open_crystal import OpenCrystalManifold, OpenCrystalState
from flowllm.manifolds.symmetric import SymmetricManifold, SymmetryOperations
from flowllm.manifolds.torus import FlatTorus

__all__ = [
    "CELL_MAPS",
    "DEFAULT_CELL_MAP",
    "CellMap",
    "CrystalManifold",
    "CrystalState",
    "Euclidean",
    "FlatTorus",
    "Manifold",
    "OpenCrystalManifold",
    "OpenCrystalState",
    "SymmetricManifold",
    "SymmetryOperations",
    "cell_map",
    "metric_tensor",
]

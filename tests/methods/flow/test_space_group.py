"""Space groups that the flow is held to: known groups, group axioms, projections, and faults."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
import torch
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import CrystalState, SymmetricManifold, cell_map, metric_tensor
from flowllm.methods.flow import FlowRefiner, RefineSettings
from flowllm.methods.flow.space_group import operations_of
from flowllm.metrics.symmetry import symmetry

PEROVSKITE = Structure.from_spacegroup(
    "Pm-3m", Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]
)
QUARTZ = Structure.from_spacegroup(
    "P3_221", Lattice.hexagonal(4.913, 5.405), ["Si", "O"],
    [[0.4697, 0, 2 / 3], [0.4133, 0.2672, 0.7855]],
)  # fmt: skip
ROCK_SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3]
).get_primitive_structure()
KNOWN = [(PEROVSKITE, 221, 48), (QUARTZ, 154, 6), (ROCK_SALT, 225, 48)]


def group_of(crystals, symprec):
    return symmetry(crystals, symprec).space_groups


def shaken(structures, size, seed=0):
    """Atoms moved by about `size` Å and cells strained by about size / 4 Å per Å."""
    generator = np.random.default_rng(seed)
    moved = []
    for structure in structures:
        strain = np.eye(3) + generator.normal(0, size / 4, (3, 3))
        lattice = structure.lattice.matrix @ strain
        places = structure.cart_coords @ strain
        places = places + generator.normal(0, size / 2, structure.cart_coords.shape)
        moved.append(Structure(lattice, structure.species, places, coords_are_cartesian=True))
    return CrystalBatch.from_pymatgen(moved)


def manifold_of(crystals, symprec=0.1, name="log-matrix"):
    """The manifold of a batch in float64, and the batch as a point near it."""
    cells = cell_map(name)
    _, coords, mask = (torch.from_numpy(part) for part in crystals.padded())
    flat = cells.to_flat(torch.from_numpy(crystals.lengths), torch.from_numpy(crystals.angles))
    group = operations_of(crystals, symprec).to(coords)
    return SymmetricManifold(mask, group, cells), CrystalState(coords.double(), flat)


def as_crystals(state, crystals, name="log-matrix"):
    lengths, angles = cell_map(name).from_flat(state.cell)
    places = np.arange(state.coords.shape[1]) < crystals.num_atoms[:, None]
    return crystals.replace(
        frac_coords=state.coords.numpy()[places], lengths=lengths.numpy(), angles=angles.numpy()
    )


@pytest.mark.parametrize(("structure", "number", "order"), KNOWN)
def test_a_shaken_crystal_is_brought_back_to_its_group(structure, number, order):
    crystals = shaken([structure], 0.02)
    assert group_of(crystals, 1e-3)[0] < number
    manifold, x = manifold_of(crystals, 0.2)
    assert manifold.orders.tolist() == [order]
    exact = as_crystals(manifold.projx(x), crystals)
    assert group_of(exact, 1e-5)[0] == number
    away = exact.frac_coords - crystals.frac_coords
    assert np.abs(away - np.round(away)).max() * crystals.lengths.max() < 0.1
    assert np.abs(exact.lengths - crystals.lengths).max() < 0.1


def test_the_operations_of_real_crystals_are_groups(mp20_crystals):
    crystals = mp20_crystals[:60]
    group = operations_of(crystals, 0.1)
    for crystal in range(len(crystals)):
        mine = group.crystals == crystal
        turns, shifts = group.rotations[mine].numpy(), group.translations[mine].numpy()
        images = group.images[mine].numpy()
        table = {tuple(np.round(turn).astype(int).ravel()): k for k, turn in enumerate(turns)}
        assert len(table) == len(turns)  # primitive cells have no centring
        for first in range(len(turns)):
            for second in range(len(turns)):
                product = np.round(turns[second] @ turns[first]).astype(int)
                third = table[tuple(product.ravel())]
                shift = turns[second] @ shifts[first] + shifts[second] - shifts[third]
                assert np.abs(shift - np.round(shift)).max() < 1e-3
                assert np.array_equal(images[second][images[first]], images[third])


def test_an_operation_takes_an_atom_to_one_of_its_element(mp20_crystals):
    crystals = mp20_crystals[100:160]
    group = operations_of(crystals, 0.1)
    types, _, mask = crystals.padded()
    numbers = types[group.crystals.numpy()]
    assert np.array_equal(np.take_along_axis(numbers, group.images.numpy(), 1), numbers)
    size = mask.shape[1]
    padding = ~mask[group.crystals.numpy()]
    assert (
        group.images.numpy()[padding] == np.tile(np.arange(size), (len(numbers), 1))[padding]
    ).all()


@pytest.mark.parametrize("name", ["log-matrix", "logit"])
def test_projecting_twice_is_projecting_once(mp20_crystals, name):
    crystals = mp20_crystals[:80]
    manifold, x = manifold_of(crystals, name=name)
    once = manifold.projx(x)
    twice = manifold.projx(once)
    away = once.coords - twice.coords
    assert (away - away.round()).abs().max() < 1e-6
    assert (once.cell - twice.cell).abs().max() < 1e-9
    assert (once.coords[~manifold.mask] == 0).all()


def test_the_metric_of_a_projected_cell_is_kept_by_every_operation(mp20_crystals):
    crystals = shaken(mp20_crystals[:40].to_pymatgen(), 0.01)
    manifold, x = manifold_of(crystals)
    metric = metric_tensor(*cell_map("log-matrix").from_flat(manifold.projx(x).cell))
    group = manifold.operations
    turned = group.rotations.transpose(1, 2) @ metric[group.crystals] @ group.rotations
    assert (turned - metric[group.crystals]).abs().max() < 1e-8


@given(seed=st.integers(0, 2**16))
def test_tangents_are_projected_orthogonally_and_stay_tangent(seed):
    crystals = CrystalBatch.from_pymatgen([structure for structure, _, _ in KNOWN])
    manifold, x = manifold_of(crystals)
    generator = torch.Generator().manual_seed(seed)
    u, v = (
        CrystalState(torch.randn(x.coords.shape, generator=generator).double(), x.cell * 0)
        for _ in range(2)
    )
    flat_u, flat_v = manifold.proju(x, u), manifold.proju(x, v)
    again = manifold.proju(x, flat_u).coords
    assert torch.allclose(again, flat_u.coords, atol=1e-9)
    metric = metric_tensor(torch.from_numpy(crystals.lengths), torch.from_numpy(crystals.angles))

    def inner(a, b):
        return torch.einsum("bsi,bij,bsj->b", a, metric, b)

    mask = manifold.mask[..., None]
    assert torch.allclose(
        inner(flat_u.coords, v.coords * mask), inner(u.coords * mask, flat_v.coords), atol=1e-6
    )
    step = manifold.scale(flat_u, 1e-3)
    moved = super(SymmetricManifold, manifold).expmap(manifold.projx(x), step)
    away = manifold.projx(moved).coords - moved.coords
    assert (away - away.round()).abs().max() < 1e-6


def test_the_flow_breaks_groups_unless_it_is_held_to_them(small_velocity, mp20_crystals):
    refiner = FlowRefiner(small_velocity, device="cpu")
    crystals = mp20_crystals[:60]
    before = group_of(crystals, 0.01)
    free = refiner.refine(crystals, RefineSettings(steps=5)).last
    held = refiner.refine(crystals, RefineSettings(steps=5, symprec=0.01)).last
    assert (group_of(free, 0.01) == before).mean() < 0.5
    kept = held_operations(crystals, held)
    assert kept.all()
    away = held.frac_coords - crystals.frac_coords
    assert np.abs(away - np.round(away)).max() > 1e-3  # held, not frozen


def held_operations(before, after):
    """(B,) whether every operation of a crystal, before, takes it, after, to itself."""
    group = operations_of(before, 0.01)
    kept = np.ones(len(before), dtype=bool)
    _, coords, mask = after.padded()
    for crystal, turn, shift, images in zip(*(part.numpy() for part in group), strict=True):
        atoms = int(mask[crystal].sum())
        x = coords[crystal][:atoms]
        away = x @ turn.T + shift - x[images[:atoms]]
        kept[crystal] &= np.abs(away - np.round(away)).max() < 1e-5
    return kept


def test_without_symmetry_holding_changes_no_bit(small_velocity, mp20_crystals):
    lone = mp20_crystals[np.flatnonzero(group_of(mp20_crystals[:300], 0.1) == 1)[:4]]
    assert len(lone) > 1
    refiner = FlowRefiner(small_velocity, device="cpu")
    free, held = (refiner.refine(lone, RefineSettings(steps=3, symprec=s)).last for s in (0.0, 0.1))
    assert np.array_equal(free.frac_coords, held.frac_coords)
    assert np.array_equal(free.lengths, held.lengths)


def test_a_tolerance_that_merges_atoms_is_lowered():
    close = Structure(Lattice.cubic(4), ["H", "H", "Cs"], [[0, 0, 0], [0.02, 0, 0], [0.5] * 3])
    group = operations_of(CrystalBatch.from_pymatgen([close]), 0.3)
    assert len(group.crystals) > 1
    assert all(sorted(row) == [0, 1, 2] for row in group.images.tolist())


@pytest.mark.parametrize("symprec", [-0.1, 1.0, float("nan")])
def test_a_tolerance_out_of_range_is_refused(symprec):
    with pytest.raises(InputError, match="symprec must be a distance"):
        RefineSettings(symprec=symprec)


def test_spglib_agrees_on_the_number_of_operations():
    crystals = CrystalBatch.from_pymatgen([structure for structure, _, _ in KNOWN])
    group = operations_of(crystals, 0.01)
    counts = torch.bincount(group.crystals).tolist()
    assert counts == [
        len(spglib.get_symmetry((c.lattices[0], c.frac_coords, c.atomic_numbers))["rotations"])
        for c in crystals
    ]

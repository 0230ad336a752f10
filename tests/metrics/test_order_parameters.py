"""Order parameters against pymatgen's loops, ideal motifs and rotations."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowllm.metrics.order_parameters import motifs, order_parameters


def by_pymatgen(directions, number):
    """The same by `LocalStructOrderParams`, one shell at a time."""
    from matminer.featurizers.site import CrystalNNFingerprint
    from pymatgen.core import Lattice, PeriodicSite

    box = Lattice.cubic(100)
    preset = [op for op in CrystalNNFingerprint.from_preset("ops").ops[number] if op != "wt"]
    rows = []
    for shell in directions:
        points = [np.zeros(3), *shell]
        sites = [PeriodicSite("H", x, box, coords_are_cartesian=True) for x in points]
        around = list(range(1, number + 1))
        rows.append([op.get_order_parameters(sites, 0, around)[0] or 0 for op in preset])
    return np.array(rows)


def random_shells(number, count, seed=0):
    shells = np.random.default_rng(seed).normal(size=(count, number, 3))
    return shells / np.linalg.norm(shells, axis=-1, keepdims=True)


def unit(rows):
    rows = np.array(rows, dtype=float)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def ring(count, height=0.0):
    angles = 2 * np.pi * np.arange(count) / count
    return [(np.cos(a), np.sin(a), height) for a in angles]


POLES = [(0, 0, 1), (0, 0, -1)]
CUBE = unit([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
EDGES = [(x, y, 0) for x in (-1, 1) for y in (-1, 1)]
IDEAL = {
    "linear": POLES,
    "L-shaped": [(1, 0, 0), (0, 1, 0)],
    "trigonal planar": ring(3),
    "square co-planar": ring(4),
    "tetrahedral": [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)],
    "pentagonal planar": ring(5),
    "trigonal bipyramidal": ring(3) + POLES,
    "square pyramidal": [*ring(4), (0, 0, 1)],
    "hexagonal planar": ring(6),
    "octahedral": ring(4) + POLES,
    "pentagonal pyramidal": [*ring(5), (0, 0, 1)],
    "hexagonal pyramidal": [*ring(6), (0, 0, 1)],
    "pentagonal bipyramidal": ring(5) + POLES,
    "body-centered cubic": CUBE,
    "hexagonal bipyramidal": ring(6) + POLES,
    "cuboctahedral": [*EDGES, *np.roll(EDGES, 1, axis=1), *np.roll(EDGES, 2, axis=1)],
}


def labels(number):
    from matminer.featurizers.site.fingerprint import load_cn_target_motif_op

    return load_cn_target_motif_op()[number]


@pytest.mark.parametrize("number", range(1, 13))
def test_random_shells_equal_pymatgen_s(number):
    shells = random_shells(number, 3)
    ours = order_parameters(shells)
    assert ours.shape == (3, len(labels(number)))
    np.testing.assert_allclose(ours, by_pymatgen(shells, number), atol=1e-9)


@pytest.mark.parametrize("number", [2, 4, 6, 8])
def test_slightly_bent_motifs_equal_pymatgen_s(number):
    ideal = [unit(IDEAL[name]) for name in labels(number) if name in IDEAL]
    noise = 0.05 * random_shells(number, len(ideal), seed=1)
    shells = unit(np.array(ideal) + noise)
    np.testing.assert_allclose(order_parameters(shells), by_pymatgen(shells, number), atol=1e-9)


@pytest.mark.parametrize("name", IDEAL)
def test_the_ideal_motif_scores_one_and_the_highest(name):
    shell = unit(IDEAL[name])
    number = len(shell)
    turned = Rotation.random(random_state=3).apply(shell)
    values = order_parameters(turned[None])[0]
    place = labels(number).index(name)
    # pymatgen's cubic parameter is normed for pairs in both orders and counts each once
    assert values[place] == pytest.approx(values.max(), abs=1e-6)
    assert values[place] > (0.9 if name != "body-centered cubic" else 0.6)


def test_rotations_and_orders_change_nothing():
    rng = np.random.default_rng(5)
    for number in (4, 6, 8, 12):
        shell = random_shells(number, 1, seed=number)[0]
        same = np.zeros((1, number), dtype=int)
        before = order_parameters(shell[None], same)
        turned = Rotation.random(random_state=number).apply(shell)
        np.testing.assert_allclose(order_parameters(turned[None], same), before, atol=1e-7)
        shuffled = shell[rng.permutation(number)]
        np.testing.assert_allclose(order_parameters(shuffled[None], same), before, atol=1e-7)


def test_tied_neighbours_give_the_mean_over_both_orders():
    shell = random_shells(8, 1, seed=2)[0]
    place = labels(8).index("body-centered cubic")
    either = order_parameters(np.stack([shell, shell[::-1]]))[:, place]
    tied = order_parameters(shell[None], np.zeros((1, 8), dtype=int))[0, place]
    assert either[0] != pytest.approx(either[1], abs=1e-6)
    assert tied == pytest.approx(either.mean())


def test_bond_orientation_of_lattices_is_known():
    values = order_parameters(unit(IDEAL["cuboctahedral"])[None])[0]
    # Steinhardt et al., table I: face-centred cubic, q4 = 0.19 and q6 = 0.57
    assert values[1:] == pytest.approx([0, 0.190941, 0.574524], abs=1e-5)


def test_no_shells_and_numbers_without_motifs():
    assert order_parameters(np.zeros((0, 6, 3))).shape == (0, 3)
    assert order_parameters(random_shells(13, 2)).shape == (2, 0)
    assert sorted(number for number, kinds in motifs().items() if kinds) == list(range(1, 13))

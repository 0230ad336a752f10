"""Space groups by operations, Hall symbol, Hermann-Mauguin symbols of every kind, and number."""

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.cif import CifCrystal, closest, read_block
from flowllm.errors import InputError

from .writing import cif

CELLS = {
    "triclinic": (7.1, 8.3, 9.7, 71.0, 83.5, 99.2),
    "monoclinic": (7.1, 8.3, 9.7, 90.0, 103.0, 90.0),
    "orthorhombic": (7.1, 8.3, 9.7, 90.0, 90.0, 90.0),
    "tetragonal": (8.1, 8.1, 10.7, 90.0, 90.0, 90.0),
    "trigonal": (9.2, 9.2, 13.1, 90.0, 90.0, 120.0),
    "hexagonal": (9.2, 9.2, 13.1, 90.0, 90.0, 120.0),
    "cubic": (13.3, 13.3, 13.3, 90.0, 90.0, 90.0),
}
GROUPS = """P -1|P 1 2 1|P 1 21 1|C 1 2/m 1|P 1 21/c 1|P 1 21/n 1|P 1 1 21/b|C 1 2/c 1|P 21 21 21
P n m a|P m c n|C m c m|I m m a|P n n n:1|P n n n:2|F d d d:2|P 4/n:1|P 4/n m m:2|I 41/a m d:1
I 41/a m d:2|P 42/m n m|I -4 2 d|P 3 2 1|P -3 m 1|R -3:H|R -3:R|R 3 c:H|R -3 m:H|R -3 c:R|P 63 m c
P 63/m m c|P 63/m|P a -3|I a -3|F -4 3 m|P n -3 m:2|F m -3 m|F d -3 m:1|F d -3 m:2|I a -3 d"""
GROUPS = GROUPS.replace("\n", "|").split("|")


def cell_of(group: gemmi.SpaceGroup) -> tuple[float, ...]:
    if group.ext == "R":
        return (7.3, 7.3, 7.3, 71.0, 71.0, 71.0)
    if group.hm == "P 1 1 21/b":
        return (7.1, 8.3, 9.7, 90.0, 90.0, 103.0)
    return CELLS[group.crystal_system_str()]


def arrays(group: gemmi.SpaceGroup) -> tuple[np.ndarray, np.ndarray]:
    operations = list(group.operations())
    turns = np.array([op.rot for op in operations]) / 24
    return turns, np.array([op.tran for op in operations]) / 24


def distances(delta: np.ndarray, cell: tuple[float, ...]) -> np.ndarray:
    matrix = np.array(gemmi.UnitCell(*cell).orth.mat.tolist())
    return np.linalg.norm((delta - np.round(delta)) @ matrix.T, axis=-1)


def orbit(place: np.ndarray, group: gemmi.SpaceGroup) -> np.ndarray:
    """All images of a place, exact ones once: written without the package."""
    turns, moves = arrays(group)
    images = (turns @ place + moves) % 1.0
    keys = {tuple(np.round(image * 1e5).astype(int) % 100_000): image for image in images}
    return np.array(list(keys.values()))


def random_sites(group: gemmi.SpaceGroup, seed: int) -> list[tuple[str, np.ndarray]]:
    """A general position, one on a symmetry element where there is one, and one on the origin."""
    rng = np.random.default_rng(seed)
    cell, (turns, moves) = cell_of(group), arrays(group)
    for _ in range(1000):
        general = np.round(rng.random(3), 5)
        sites = [("O", general)]
        fixing = [
            (turn, move)
            for turn, move in zip(turns, moves + rng.integers(0, 2, moves.shape), strict=True)
            if (turn @ turn == np.eye(3)).all()
            and not (turn == np.eye(3)).all()
            and not (turn @ move + move).any()
        ]
        if fixing:
            turn, move = fixing[rng.integers(len(fixing))]
            place = np.round(rng.random(3), 3)
            sites.append(("Zn", (place + turn @ place + move) / 2))
        sites.append(("Y", np.zeros(3)))
        every = np.concatenate([orbit(place, group) for _, place in sites])
        apart = distances(every[:, None] - every[None, :], cell) + 9 * np.eye(len(every))
        if apart.min() > 0.5:
            return sites
    raise AssertionError(f"no room for sites in {group.xhm()}")


def rows(
    sites: list[tuple[str, np.ndarray]], sizes: list[int] | None = None, digits: int = 7
) -> str:
    lines = [
        f"{element}1 {element} " + " ".join(f"{x:.{digits}f}" for x in place)
        for element, place in sites
    ]
    if sizes:
        lines = [f"{line} {size}" for line, size in zip(lines, sizes, strict=True)]
    return "\n".join(lines)


def listed(group: gemmi.SpaceGroup) -> str:
    lines = [f"'{operation.triplet()}'" for operation in group.operations()]
    return "loop_\n_space_group_symop_operation_xyz\n" + "\n".join(lines)


def same_atoms(
    crystal: CifCrystal, sites: list[tuple[str, np.ndarray]], group: gemmi.SpaceGroup
) -> None:
    """The crystal holds the orbits of the sites and nothing else."""
    assert [site.element for site in crystal.sites] == [element for element, _ in sites]
    for site, (_, place) in zip(crystal.sites, sites, strict=True):
        images = orbit(place, group)
        ours = crystal.frac_coords[list(site.atoms)]
        assert len(ours) == len(images), (site, len(images))
        apart = distances(ours[:, None] - images[None, :], cell_of(group))
        assert apart.min(0).max() < 1e-4 and apart.min(1).max() < 1e-4
    assert len(crystal.frac_coords) == sum(len(orbit(place, group)) for _, place in sites)


@pytest.mark.parametrize("name", GROUPS)
def test_operations_symbols_and_hall_say_the_same(name):
    group = gemmi.find_spacegroup_by_name(name)
    assert group.xhm() == name
    sites, cell = random_sites(group, seed=len(name)), cell_of(group)
    compact = group.short_name() + (f" :{group.ext}" if group.ext != "\0" else "")
    heads = {
        "operations": listed(group),
        "hall": f"_space_group_name_Hall '{group.hall}'",
        "symbol": f"_space_group_name_H-M_alt '{name}'",
        "lower": f"_symmetry_space_group_name_H-M '{name.lower()}'",
        "compact": f"_symmetry_space_group_name_H-M '{compact}'",
        "underscores": f"_symmetry_space_group_name_H-M '{name.replace(' ', '_')}'",
    }
    for kind, head in heads.items():
        crystal = read_block(cif(rows(sites), cell, head))
        same_atoms(crystal, sites, group)
        assert crystal.remarks == (), (kind, crystal.remarks)


@pytest.mark.parametrize("name", GROUPS)
def test_a_number_or_a_symbol_without_suffix_is_decided_by_the_multiplicities(name):
    group = gemmi.find_spacegroup_by_name(name)
    sites, cell = random_sites(group, seed=7), cell_of(group)
    sizes = [len(orbit(place, group)) for _, place in sites]
    text = rows(sites, sizes)
    columns = "label type_symbol fract_x fract_y fract_z symmetry_multiplicity"
    crystal = read_block(cif(text, cell, f"_symmetry_space_group_name_H-M '{group.hm}'", columns))
    same_atoms(crystal, sites, group)
    usual = gemmi.find_spacegroup_by_number(group.number)
    if usual.hm == group.hm:  # a number alone means the usual axes
        for number in (str(group.number), f"'{group.number}'", f"{group.number}."):
            head = f"_space_group_IT_number {number}"
            same_atoms(read_block(cif(text, cell, head, columns)), sites, group)


FULL = {
    "F 4/m -3 2/m": "F m -3 m",
    "F 41/d -3 2/m :2": "F d -3 m:2",
    "P 63/m 2/m 2/c": "P 63/m m c",
    "P 21/n 21/m 21/a": "P n m a",
    "I 41/a -3 2/d": "I a -3 d",
    "R -3 2/m :R": "R -3 m:R",
    "P 21/c": "P 1 21/c 1",
    "C 2/m": "C 1 2/m 1",
    "F d -3 m S": "F d -3 m:1",
    "F d -3 m Z": "F d -3 m:2",
    "Fd-3mZ": "F d -3 m:2",
    "R -3 c R": "R -3 c:R",
    "R -3 c H": "R -3 c:H",
    "F m 3 m": "F m -3 m",
    "I a 3 d": "I a -3 d",
    "P a 3": "P a -3",
    "Fm-3m (225)": "F m -3 m",
    "225": "F m -3 m",
    "P -3 2/m 1": "P -3 m 1",
    "C m c e": "C m c a",
    "P 1 21/c 1 :b1": "P 1 21/c 1",
    "P2(1)/c": "P 1 21/c 1",
    "P2(1)2(1)2(1)": "P 21 21 21",
    "P 2(1) 2(1) 2(1)": "P 21 21 21",
    "Pna2(1)": "P n a 21",
    "I4(1)/amd :2": "I 41/a m d:2",
    "P6_{3}/mmc": "P 63/m m c",
    "P 21 21 21 (19)": "P 21 21 21",
}


@pytest.mark.parametrize("symbol", FULL)
def test_full_old_and_database_symbols_are_known(symbol):
    group = gemmi.find_spacegroup_by_name(FULL[symbol])
    sites = random_sites(group, seed=3)
    head = f"_symmetry_space_group_name_H-M '{symbol}'"
    crystal = read_block(cif(rows(sites), cell_of(group), head))
    same_atoms(crystal, sites, group)


@pytest.mark.parametrize(
    "symbol", ["P 4 2 7", "X m -3 m", "F m -3 m m", "hexagonal", "P 21/q", "999", "Fm-3m:9x:2"]
)
def test_an_unknown_symbol_is_refused_by_name_unless_operations_are_listed(symbol):
    head = f"_symmetry_space_group_name_H-M '{symbol}'"
    with pytest.raises(InputError, match="the space-group symbol '.*' is unknown"):
        read_block(cif("Na1 Na 0 0 0", head=head))
    head += "\nloop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-x,-y,-z'"
    crystal = read_block(cif("Na1 Na 0.1 0 0", head=head))
    assert len(crystal.frac_coords) == 2 and "is unknown" in crystal.remarks[0]


def spinel(shift: float) -> str:
    u = 0.2624 + 0.125
    places = [("Mg", (0, 0, 0)), ("Al", (0.625,) * 3), ("O", (u, u, u))]
    return rows([(e, np.array(p) + shift) for e, p in places])


@pytest.mark.parametrize(("shift", "origin"), [(0.0, 1), (-0.125, 2)])
@pytest.mark.parametrize(
    "extra", ["", "_chemical_formula_sum 'Al2 Mg O4'\n_cell_formula_units_Z 8"]
)
def test_the_origin_of_spinel_is_found(shift, origin, extra):
    cell = (8.08, 8.08, 8.08, 90.0, 90.0, 90.0)
    head = f"_symmetry_space_group_name_H-M 'F d -3 m'\n{extra}"
    crystal = read_block(cif(spinel(shift), cell, head))
    assert np.bincount(crystal.atomic_numbers)[[12, 13, 8]].tolist() == [8, 16, 32]
    assert closest(crystal, 3.0)[0] == pytest.approx(1.92, abs=0.02)
    assert f"F d -3 m:{origin}" in crystal.remarks[0]


def test_operations_count_and_a_symbol_that_contradicts_them_is_named():
    head = listed(gemmi.find_spacegroup_by_name("P -1"))
    text = cif("Na1 Na 0.1 0.2 0.3", head=head + "\n_symmetry_space_group_name_H-M 'F m -3 m'")
    crystal = read_block(text)
    assert len(crystal.frac_coords) == 2
    assert "'F m -3 m' contradict each other; read as P -1" in crystal.remarks[0]


def test_operations_without_the_centring_of_the_symbol_are_refused_where_nothing_decides():
    group = gemmi.find_spacegroup_by_name("F m -3 m")
    symbol = "_symmetry_space_group_name_H-M 'F m -3 m'\n"
    listed_ones = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "\n".join(
        f"'{op.triplet()}'" for op in group.operations().sym_ops
    )
    formula = "_chemical_formula_sum 'Na Cl'\n"
    sites = "Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5"
    for head in (symbol, formula + symbol):
        with pytest.raises(InputError, match="'F m -3 m' contradict each other: 2 or 8 atoms"):
            read_block(cif(sites, head=head + listed_ones))
    one = cif(sites, head=formula + "_cell_formula_units_Z 1\n" + symbol + listed_ones)
    assert len(read_block(one).frac_coords) == 2
    with pytest.raises(InputError, match="formula or multiplicities contradict P m -3 m"):
        read_block(one.replace("units_Z 1", "units_Z 4"))


ALL = "\n".join(
    f"{e}{i} {e} {x} {y} {z}"
    for e, o in (("Na", 0.0), ("Cl", 0.5))
    for i, (x, y, z) in enumerate([(o, 0, 0), (o, 0.5, 0.5), (0.5 + o, 0, 0.5), (0.5 + o, 0.5, 0)])
)


def test_a_file_that_lists_every_atom_may_keep_the_symbol_it_once_had():
    identity = "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z"
    head = "_symmetry_space_group_name_H-M 'F m -3 m'\n" + identity
    crystal = read_block(cif(ALL, (5.6, 5.6, 5.6, 90.0, 90.0, 90.0), head))
    assert len(crystal.frac_coords) == 8 and "contradict each other" in crystal.remarks[0]
    half = cif("Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5", (5.6, 5.6, 5.6, 90.0, 90.0, 90.0), head)
    says = "\n_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z "
    read = read_block(half.replace(identity, identity + says + "1"))
    assert len(read.frac_coords) == 2 and "contradict" in read.remarks[0]
    with pytest.raises(InputError, match="formula or multiplicities contradict P 1"):
        read_block(half.replace(identity, identity + says + "4"))
    with pytest.raises(InputError, match="2 or 8 atoms, and no formula or multiplicity decides"):
        read_block(half.replace(identity, identity + says + "?"))


HALL = "_space_group_name_Hall"
SYMBOL = "_symmetry_space_group_name_H-M"
NUMBER = "_space_group_IT_number"
SAID = {  # head -> atoms of rock salt by two sites, and a remark
    f"{SYMBOL} 'F m -3 m'\n{NUMBER} 221": (8, "'F m -3 m' and the space-group number 221"),
    f"{SYMBOL} 'F m -3 m'\n{HALL} 'junk'": (8, "the Hall symbol 'junk' is unknown; read by"),
    f"{SYMBOL} 'F m -3 m'\n{NUMBER} 300": (8, "the space-group number 300 is unknown; read by"),
    f"{SYMBOL} ?\n{NUMBER} 225.0": (8, ""),
    f"{SYMBOL} .\n{NUMBER} ?": (2, "no space group is given; read as P 1"),
}
UNDECIDED = {
    f"{SYMBOL} 'F m -3 m'\n{HALL} '-P 4 2 3'": "'F m -3 m' contradict each other: 2 or 8 atoms",
    f"{SYMBOL} 'P 1'\n{NUMBER} 225": "number 225 contradict each other: 2 or 8 atoms",
    f"{SYMBOL} 'F m q m'\n{NUMBER} 225": "the space-group symbol 'F m q m' is unknown",
    f"{NUMBER} 0": "the space-group number 0 is unknown",
    f"{NUMBER} 300": "the space-group number 300 is unknown",
    f"{SYMBOL} '0'": "the space-group symbol '0' is unknown",
    f"{HALL} 'junk'": "the Hall symbol 'junk' is unknown",
    "_cell_modulation_dimension 1": "a modulated structure",
}


@pytest.mark.parametrize("head", SAID)
def test_statements_on_the_space_group(head):
    atoms, remark = SAID[head]
    text = cif("Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5", (5.64,) * 3 + (90.0,) * 3, head)
    crystal = read_block(text)
    assert len(crystal.frac_coords) == atoms
    assert remark in " ".join(crystal.remarks) and bool(remark) == bool(crystal.remarks)


@pytest.mark.parametrize("head", UNDECIDED)
def test_statements_that_nothing_decides_are_refused(head):
    text = cif("Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5", (5.64,) * 3 + (90.0,) * 3, head)
    with pytest.raises(InputError, match=UNDECIDED[head]):
        read_block(text)


@pytest.mark.parametrize(
    ("head", "atoms"), [(f"{SYMBOL} 'P 21/m'", 4), (f"{NUMBER} 14", 4), (f"{SYMBOL} 'P 2'", 2)]
)
def test_the_unique_axis_is_that_of_the_cell(head, atoms):
    for angle in range(3):
        cell = [5.0, 6.0, 7.0, 90.0, 90.0, 90.0]
        cell[3 + angle] = 105.0
        crystal = read_block(cif("Na1 Na 0.1 0.2 0.3", tuple(cell), head))
        assert len(crystal.frac_coords) == atoms and crystal.remarks == ()
        moved = np.abs(crystal.frac_coords - crystal.frac_coords[0]) > 1e-6
        assert moved.any()
        # a rotation about the unique axis: the other two coordinates change their sign
        others = [axis for axis in range(3) if axis != angle]
        sums = (crystal.frac_coords + crystal.frac_coords[0])[:, others] % 0.5
        assert ((sums < 1e-6) | (sums > 0.5 - 1e-6)).all(1).any()


@pytest.mark.parametrize(("x", "atoms"), [("0.02", 4), ("0.07", 8)])
def test_an_atom_beside_a_mirror_is_moved_onto_it_and_said(x, atoms):
    cell = (5.0, 6.0, 7.0, 90.0, 90.0, 90.0)
    crystal = read_block(cif(f"O1 O {x} 0.3 0.3", cell, f"{SYMBOL} 'P m m m'"))
    assert len(crystal.frac_coords) == atoms
    said = ("moved to a special position: O1 by 0.10 Å",) if atoms == 4 else ()
    assert crystal.remarks == said


def test_atoms_that_are_listed_and_made_by_operations_are_read_once():
    head = listed(gemmi.find_spacegroup_by_name("F m -3 m"))
    crystal = read_block(cif(ALL, (5.6, 5.6, 5.6, 90.0, 90.0, 90.0), head))
    assert len(crystal.frac_coords) == 8 and len(crystal.sites) == 8
    assert crystal.sites[3].atoms == crystal.sites[0].atoms
    assert "Na1 of Na0" in crystal.remarks[0]


def test_the_cell_must_fit_the_space_group():
    head = "_symmetry_space_group_name_H-M 'F m -3 m'"
    with pytest.raises(InputError, match=r"the cell \(4, 5, 6, .*\) does not fit .*'F m -3 m'"):
        read_block(cif("Na1 Na 0 0 0", (4.0, 5.0, 6.0, 90.0, 90.0, 90.0), head))
    hexagonal = cif("Zn1 Zn 0.3333 0.6667 0", head="_symmetry_space_group_name_H-M 'P 63 m c'")
    bare = "\n".join(line for line in hexagonal.splitlines() if "angle" not in line)
    with pytest.raises(InputError, match="_cell_angle_gamma missing, and 90° does not fit"):
        read_block(bare)
    roughly = read_block(cif("Na1 Na 0 0 0", (4.0, 4.0, 4.03, 90.0, 90.0, 90.0), head))
    assert "fits the space group F m -3 m only roughly" in roughly.remarks[0]


@pytest.mark.parametrize(
    "operation", ["x,y", "x,y,2z", "x+1/5,y,z", "exec()", "x,y,q", "x+99999,y,z"]
)
def test_an_operation_that_is_none_is_refused_by_name(operation):
    head = f"loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'{operation}'"
    with pytest.raises(InputError, match="'.*' (cannot be read|is not a symmetry operation)"):
        read_block(cif("Na1 Na 0 0 0", head=head))


def test_operations_that_are_no_group_are_refused():
    head = "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-y,x,z'"
    with pytest.raises(InputError, match="2 symmetry operations listed do not form a group"):
        read_block(cif("Na1 Na 0 0 0", head=head))


def test_magnetic_centrings_are_applied():
    head = """_space_group_magn.name_BNS "P_I4/nnc"
loop_
_space_group_symop_magn_operation.id
_space_group_symop_magn_operation.xyz
1 x,y,z,+1
2 -x,-y,-z,+1
loop_
_space_group_symop_magn_centering.id
_space_group_symop_magn_centering.xyz
1 x,y,z,+1
2 x+1/2,y+1/2,z+1/2,-1"""
    crystal = read_block(cif("Mn1 Mn 0.1 0.2 0.3", head=head))
    assert len(crystal.frac_coords) == 4
    alone = head[: head.index("loop_")]
    with pytest.raises(InputError, match="operations of the magnetic group 'P_I4/nnc' are missing"):
        read_block(cif("Mn1 Mn 0.1 0.2 0.3", head=alone))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(GROUPS), st.integers(0, 2**16), st.integers(3, 5))
def test_rounding_special_positions_changes_no_count(name, seed, digits):
    group = gemmi.find_spacegroup_by_name(name)
    sites, cell = random_sites(group, seed), cell_of(group)
    crystal = read_block(cif(rows(sites, digits=digits), cell, listed(group)))
    for site, (_, place) in zip(crystal.sites, sites, strict=True):
        images = orbit(place, group)
        assert len(site.atoms) == len(images)
        ours = crystal.frac_coords[list(site.atoms)]
        apart = distances(ours[:, None] - images[None, :], cell)
        assert apart.min(0).max() < 3 * max(cell[:3]) * 0.5 * 10.0**-digits

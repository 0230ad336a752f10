"""Inputs of pw.x: read back with ASE, k-point distances by hand, magnetism, pseudopotentials."""

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.export.espresso import (
    EspressoSettings,
    espresso_files,
    export_espresso,
    kpoint_grid,
    magnetic_moments,
    valence_electrons,
)

SKEWED = CrystalBatch(
    [8, 26, 8, 25, 20],
    [(0.1, 0.2, 0.3), (0, 0, 0), (0.6, 0.1, 0.7), (0.5, 0.5, 0.5), (0.9, 0.4, 0.1)],
    [(4.1, 5.2, 6.3)],
    [(85.0, 95.5, 102.25)],
    [5],
    ["mp-x"],
)
CUBE = CrystalBatch([11], [(0, 0, 0)], [(4, 4, 4)], [(90, 90, 90)], [1], ["cube"])


def namelist(text: str) -> dict[str, dict[str, object]]:
    """The settings of pw.in, as ASE reads them."""
    from ase.io.espresso import read_fortran_namelist

    return {k: dict(v) for k, v in read_fortran_namelist(io.StringIO(text))[0].items()}


def same_crystal(crystal: CrystalBatch, text: str) -> None:
    from ase.io.espresso import read_espresso_in

    atoms = read_espresso_in(io.StringIO(text))
    assert atoms.get_atomic_numbers().tolist() == crystal.atomic_numbers.tolist()
    np.testing.assert_allclose(atoms.cell.lengths(), crystal.lengths[0], rtol=1e-6)
    np.testing.assert_allclose(atoms.cell.angles(), crystal.angles[0], rtol=1e-6)
    away = atoms.get_scaled_positions() - crystal.frac_coords
    assert np.abs(away - np.round(away)).max() < 1e-6


@pytest.mark.data
def test_real_crystals_read_back_as_they_were(mp20_crystals, tmp_path):
    chosen = mp20_crystals[::50]
    for crystal, each in zip(chosen, export_espresso(chosen, tmp_path), strict=True):
        assert not each.problem
        same_crystal(crystal, (tmp_path / each.folder / "pw.in").read_text())


def test_settings_as_stated():
    files, notes = espresso_files(SKEWED, EspressoSettings())
    same_crystal(SKEWED, files["pw.in"])
    given = namelist(files["pw.in"])
    assert set(given) == {"control", "system", "electrons", "ions", "cell"}
    assert given["control"]["calculation"] == "vc-relax"
    assert given["control"]["pseudo_dir"] == "../pseudo"
    system = given["system"]
    assert (system["ecutwfc"], system["ecutrho"], system["smearing"]) == (90.0, 1080.0, "cold")
    assert (system["nat"], system["ntyp"], system["ibrav"], system["nspin"]) == (5, 4, 0, 2)
    assert "Fe.upf" in files["pw.in"] and "Mn.upf" in files["pw.in"]
    assert notes == ["magnetic: starts ferromagnetic (Fe 5 µB, Mn 5 µB); try other orders"]


def test_magnetic_elements_start_with_the_moment_of_the_set():
    files, _ = espresso_files(SKEWED, EspressoSettings())
    lines = files["pw.in"].splitlines()
    start = lines.index("ATOMIC_SPECIES") + 1
    species = [line.split()[0] for line in lines[start : start + 4]]
    system = namelist(files["pw.in"])["system"]
    shares = {s: system[f"starting_magnetization({i})"] for i, s in enumerate(species, 1)}
    # 5 µB over 16 and 15 outer electrons (3s 3p 3d 4s)
    assert shares == {"O": 0, "Ca": 0, "Fe": pytest.approx(5 / 16, abs=1e-4), "Mn": 0.3333}


def test_crystals_without_magnetic_elements_are_not_spin_polarised():
    files, notes = espresso_files(CUBE, EspressoSettings())
    assert namelist(files["pw.in"])["system"]["nspin"] == 1
    assert "starting_magnetization" not in files["pw.in"] and notes == []


def test_moments_are_those_of_the_materials_projects_set():
    from pymatgen.io.vasp.sets import MPRelaxSet

    moments = magnetic_moments()
    table = MPRelaxSet.CONFIG["INCAR"]["MAGMOM"]
    for symbol in ("Fe", "Mn", "Cr", "V", "Ni", "Co", "Mo", "W", "Ce", "Eu"):
        assert moments[symbol] == table[symbol]
    assert (moments["Gd"], moments["Nd"]) == (table["Gd3+"], table["Nd3+"]) == (7, 3)
    assert not {"La", "Lu", "O", "Na", "Ti"} & set(moments)


# ---- k-points ----------------------------------------------------------------------------------


def test_k_points_of_a_cube_by_hand():
    # 2 pi / 4 Å = 1.571 1/Å: 8 divisions are 0.196 apart, 7 would be 0.224
    assert kpoint_grid(CUBE, 0.2) == (8, 8, 8)
    assert kpoint_grid(CUBE, 0.25) == (7, 7, 7)
    assert kpoint_grid(CUBE, 2 * math.pi / 4 / 5) == (5, 5, 5)
    assert kpoint_grid(CUBE.replace(lengths=np.array([[4, 8, 60.0]])), 0.2) == (8, 4, 1)
    files, _ = espresso_files(CUBE, EspressoSettings())
    lines = files["pw.in"].splitlines()
    assert lines[lines.index("K_POINTS automatic") + 1].split() == ["8", "8", "8", "0", "0", "0"]


@given(
    st.tuples(*[st.floats(2, 30)] * 3),
    st.tuples(*[st.floats(65, 115)] * 3),
    st.floats(0.1, 0.5),
)
def test_k_points_are_as_dense_as_asked_for_and_no_denser(lengths, angles, spacing):
    from ase.io.espresso import kspacing_to_grid

    crystal = CUBE.replace(lengths=np.array([lengths]), angles=np.array([angles]))
    grid = np.array(kpoint_grid(crystal, spacing))
    reciprocal = crystal.to_pymatgen()[0].lattice.reciprocal_lattice.abc
    assert (np.array(reciprocal) / grid <= spacing * (1 + 1e-6)).all()
    assert (np.array(reciprocal) / np.maximum(grid - 1, 1e-9) > spacing * (1 - 1e-6)).all()
    # ASE's own grid leaves out the factor 2 pi and never rounds an exact fit down
    other = np.array(kspacing_to_grid(crystal.to_ase()[0], spacing / (2 * math.pi)))
    assert ((other - grid >= 0) & (other - grid <= 1)).all()


# ---- pseudopotentials --------------------------------------------------------------------------


def upf(folder, name, electrons="  1.60000000000000E+001"):
    (folder / name).write_text(f'<UPF version="2.0.1"><PP_HEADER z_valence="{electrons}"/></UPF>')


def test_a_folder_of_pseudopotentials_names_files_and_electrons(tmp_path):
    upf(tmp_path, "fe_pbe_v1.uspp.F.UPF", "8.0D0")
    upf(tmp_path, "O.pbe-n-kjpaw_psl.0.1.UPF", "6")
    (tmp_path / "Na.upf").write_text("    9.00000000000    Z valence\n")
    (tmp_path / "README.md").write_text("not one of them")
    settings = EspressoSettings(tmp_path)
    assert set(settings.files) == {"Fe", "O", "Na"}
    assert valence_electrons("Fe", settings) == 8 and valence_electrons("Na", settings) == 9
    crystal = SKEWED.replace(atomic_numbers=np.array([8, 26, 8, 26, 11]))
    text = espresso_files(crystal, settings)[0]["pw.in"]
    assert "fe_pbe_v1.uspp.F.UPF" in text
    assert namelist(text)["control"]["pseudo_dir"] == str(tmp_path)
    assert 5 / 8 in namelist(text)["system"].values()
    with pytest.raises(InputError, match="mp-x: no pseudopotential for Mn, Ca is given"):
        espresso_files(SKEWED, settings)


def test_outer_electrons_are_counted_where_no_file_is_at_hand():
    given = {"V": 13, "Fe": 16, "Ni": 18, "Mo": 14, "Ce": 12, "Gd": 18, "W": 14, "U": 14}
    for symbol, electrons in given.items():
        assert valence_electrons(symbol, EspressoSettings()) == electrons


def test_names_may_be_given_or_follow_a_pattern():
    text = espresso_files(CUBE, EspressoSettings({"Na": "mine.UPF"}))[0]["pw.in"]
    assert "mine.UPF" in text
    text = espresso_files(CUBE, EspressoSettings(pattern="{symbol}_ONCV.upf"))[0]["pw.in"]
    assert "Na_ONCV.upf" in text


def test_bad_settings(tmp_path):
    with pytest.raises(InputError, match="kspacing must be positive"):
        EspressoSettings(kspacing=0)
    with pytest.raises(InputError, match="ecutrho must be at least four times ecutwfc, not 200"):
        EspressoSettings(ecutrho=200)
    with pytest.raises(InputError, match="has no {symbol} in it"):
        EspressoSettings(pattern="all.upf")
    with pytest.raises(InputError, match="contains no .upf files"):
        EspressoSettings(tmp_path)
    with pytest.raises(InputError, match="no such folder of pseudopotentials"):
        EspressoSettings(tmp_path / "nowhere")
    upf(tmp_path, "Fe.a.UPF")
    upf(tmp_path, "fe_b.upf")
    with pytest.raises(InputError, match="two pseudopotentials for Fe: Fe.a.UPF and fe_b.upf"):
        EspressoSettings(tmp_path)


def test_the_readme_states_what_is_the_users(tmp_path):
    export_espresso(CUBE, tmp_path, EspressoSettings(kspacing=0.22))
    text = (tmp_path / "README.txt").read_text()
    assert "<element>.upf" in text and "0.22 1/Å" in text and "SSSP" in text
    assert "folder pseudo beside this file" in text

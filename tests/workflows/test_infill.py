"""`flowllm infill` from the command line: results, and what is said when it cannot be done."""

from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from flowllm.cli import main


@pytest.fixture
def file(tmp_path):
    """Perovskite with its sites in the order Sr, Ti, O, O, O."""
    structure = Structure(
        Lattice.cubic(3.905),
        ["Sr", "Ti", "O", "O", "O"],
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    )
    structure.to(str(tmp_path / "perovskite.cif"))
    return tmp_path / "perovskite.cif"


def test_masked_sites_are_filled_ranked_and_refined(file, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--sites", "2", "--elements", "Zr,Ti,Hf,Na", "--num", "2", "--steps", "3"]
    assert main(["infill", str(file), *words, "--out", str(out)]) == 0
    ranked = pd.read_csv(out / "proposals.csv", keep_default_na=False)
    assert len(ranked) == 4 and ranked["probability"].is_monotonic_decreasing
    assert ranked["element"].iloc[0] == "Ti"
    table = pd.read_csv(out / "crystals.csv")
    assert len(table) == 2 and table["formula"].iloc[0] == "SrTiO3"
    assert "Ti on sites 2 of perovskite.cif" in table["prompt"].iloc[0]
    assert len(list((out / "crystals").glob("*.cif"))) == 2
    assert (out / "report.html").is_file()
    assert "SrTiO3: Ti on sites 2" in capsys.readouterr().out


def test_a_crystal_is_completed_from_its_first_atoms(file, tmp_path):
    out = tmp_path / "out"
    words = ["--keep", "2", "--formula", "SrTiO3", "--num-atoms", "5", "--num", "3", "--steps", "2"]
    assert main(["infill", str(file), *words, "--out", str(out)]) == 0
    assert pd.read_csv(out / "crystals.csv")["formula"].tolist() == ["SrTiO3"] * 3
    assert not (out / "proposals.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sites", "7"], "site 7 is outside the structure; its sites are 1 to 5"),
        (["--sites", "two"], "--sites takes numbers"),
        (["--element", "Fe"], "contains no Fe; it has Sr, Ti, O"),
        (["--keep", "9"], "choose 1 to 5"),
        ([], "say what to fill in"),
        (["--sites", "1", "--keep", "2"], "say what to fill in"),
        (["--element", "O", "--elements", "Xx"], "Xx"),
        (["--keep", "2", "--formula", "NaCl"], "contradicts the conditions"),
        (["--element", "O", "--num", "0"], "at least 1"),
    ],
)
def test_bad_input_says_what_to_do_and_writes_nothing(file, tmp_path, capsys, words, message):
    out = tmp_path / "out"
    assert main(["infill", str(file), *words, "--out", str(out)]) != 0
    assert message in capsys.readouterr().err
    assert not (out / "crystals.csv").exists()


def test_sites_are_those_of_the_file_as_written(tmp_path, capsys):
    """A site of rock salt stands for four atoms; the second is chlorine, not the second atom."""
    case = Path(__file__).parents[1] / "inputs" / "cases" / "44_infill_symmetric" / "sym.cif"
    out = tmp_path / "out"
    words = ["--sites", "2", "--elements", "F,Br", "--num", "1", "--steps", "2"]
    assert main(["infill", str(case), *words, "--out", str(out)]) == 0
    table = pd.read_csv(out / "crystals.csv", keep_default_na=False)
    assert table["formula"][0] in ("NaF", "NaBr")
    assert "on sites 2 (Cl1, 4 atoms of the cell) of sym.cif" in table["prompt"][0]
    assert "4 atoms of the cell" in capsys.readouterr().out
    assert table["remarks"].tolist() == [""]
    assert main(["infill", str(case), "--sites", "3", "--out", str(tmp_path / "b")]) == 2
    assert "site 3 is outside the structure; its sites are 1 to 2" in capsys.readouterr().err


def test_a_file_of_several_crystals_is_none_to_fill_in(tmp_path, capsys):
    case = Path(__file__).parents[1] / "inputs" / "cases" / "09_blocks" / "two.cif"
    assert main(["infill", str(case), "--sites", "1", "--out", str(tmp_path / "out")]) == 2
    assert "holds 2 crystals (two-first, two-second)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

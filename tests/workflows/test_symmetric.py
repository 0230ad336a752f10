"""Symmetric text from the command line: trained, generated, filled in, scored."""

from __future__ import annotations

import gemmi
import pandas as pd
import pytest
import spglib

from flowllm.cli import main
from flowllm.crystals.batch import CrystalBatch
from flowllm.inputs import read_inputs
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.templates.build import build_table
from flowllm.methods.templates.prior import TemplatePrior
from flowllm.methods.templates.ranked import RankedPrior
from flowllm.methods.templates.similarity import shipped_similarity
from flowllm.systems.system import FlowLLM
from flowllm.workflows.score import rank_by_likelihood

pytestmark = pytest.mark.slow

TINY = ["--hidden", "16", "--layers", "1", "--heads", "2", "--feed-forward", "24"]
QUICK = ["--epochs", "2", "--batch-size", "16", "--validation-rows", "3", "--threads", "1"]


@pytest.fixture(scope="module")
def folder(prepared, system, tmp_path_factory):
    """A tiny symmetric language model, trained by the command, with the flow of the tiny system."""
    out = tmp_path_factory.mktemp("symmetric")
    words = ["--data", str(prepared), "--text", "wyckoff", "--augmentation", "normalizer"]
    assert main(["train-lm", "--out", str(out / "lm"), *words, *TINY, *QUICK]) == 0
    prior = LanguageModelPrior.from_pretrained(out / "lm")
    assert prior.format.name == "wyckoff"
    FlowLLM(prior, system.refiner, [0, 3, 2, 2, 1, 1, *[0] * 14]).save_pretrained(out / "model")
    FlowLLM(prior, None, [0, 3, 2, 2, 1, 1, *[0] * 14]).save_pretrained(out / "alone")
    return out


@pytest.fixture
def file(tmp_path):
    crystal = CrystalBatch(
        [38, 22, 8, 8, 8],
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
        [[3.905] * 3], [[90.0] * 3], [5], ["x"],
    )  # fmt: skip
    (tmp_path / "perovskite.cif").write_text(crystal.to_cif()[0])
    return tmp_path / "perovskite.cif"


@pytest.mark.parametrize("group", [221, 62, 99, 12])
def test_generated_crystals_have_the_group_asked_and_are_written_with_it(folder, tmp_path, group):
    out = tmp_path / "out"
    words = ["--num", "3", "--formula", "SrTiO3", "--space-group", str(group), "--seed", "1"]
    assert main(["generate", "--model", str(folder / "alone"), *words, "--out", str(out)]) == 0
    for path in sorted((out / "crystals").iterdir()):
        block = gemmi.cif.read_file(str(path)).sole_block()
        small = gemmi.make_small_structure_from_block(block)
        found = int(block.find_value("_space_group_IT_number"))
        assert len(block.find_loop("_atom_site_Wyckoff_symbol")) == len(small.sites)
        prior = CrystalBatch.from_cif([(out / "prior" / path.name).read_text()])
        cell = (prior.lattices[0], prior.frac_coords, prior.atomic_numbers)
        assert spglib.get_symmetry_dataset(cell, symprec=0.01).number == found
        here, asked = (len(list(gemmi.find_spacegroup_by_number(n).operations().sym_ops))
                       for n in (found, group))  # fmt: skip
        assert found == group or here >= asked  # a special crystal may have a supergroup


def test_the_flow_refines_symmetric_crystals_too(folder, tmp_path):
    out = tmp_path / "out"
    words = ["--num", "3", "--formula", "SrTiO3", "--steps", "2", "--symprec", "0.1"]
    assert main(["generate", "--model", str(folder / "model"), *words, "--out", str(out)]) == 0
    assert pd.read_csv(out / "crystals.csv")["formula"].tolist() == ["SrTiO3"] * 3


def test_elements_are_filled_in_and_atoms_are_refused_with_a_reason(folder, file, tmp_path, capsys):
    out = tmp_path / "out"
    model = ["--model", str(folder / "model")]
    words = ["--element", "Ti", "--elements", "Zr,Ti,Hf", "--num", "2", "--steps", "2"]
    assert main(["infill", str(file), *model, *words, "--out", str(out)]) == 0
    ranked = pd.read_csv(out / "proposals.csv", keep_default_na=False)
    assert sorted(ranked["element"]) == ["Hf", "Ti", "Zr"]


def test_crystals_are_completed_from_whole_orbits(folder, file, tmp_path, capsys):
    model = ["--model", str(folder / "model"), "--steps", "2"]
    words = ["--keep", "2", "--formula", "SrTiO3", "--num-atoms", "5", "--num", "2"]
    assert main(["infill", str(file), *model, *words, "--out", str(tmp_path / "a")]) == 0
    assert pd.read_csv(tmp_path / "a" / "crystals.csv")["formula"].tolist() == ["SrTiO3"] * 2
    assert main(["infill", str(file), *model, "--keep", "3", "--out", str(tmp_path / "b")]) == 2
    assert "end inside the orbit O 3c; choose one of 1, 2, 5" in capsys.readouterr().err
    assert not (tmp_path / "b" / "crystals.csv").exists()


def test_crystals_are_ranked_wherever_their_origin_is(folder, file, sample_crystals, tmp_path):
    prior = LanguageModelPrior.from_pretrained(folder / "lm")
    for name, text in zip("abc", sample_crystals[:3].to_cif(), strict=True):
        (tmp_path / f"{name}.cif").write_text(text)
    table = rank_by_likelihood(prior, read_inputs([tmp_path]), transformations=2)
    assert len(table) == 4 and table["nats"].notna().all()
    assert table["nats_per_token"].is_monotonic_decreasing
    assert (table["ipt_translation"].abs() < 1e-3).sum() >= 3


def test_a_language_model_beside_templates_fills_in_and_scores(
    folder, file, sample_crystals, tmp_path
):
    prior = LanguageModelPrior.from_pretrained(folder / "lm")
    small = sample_crystals[sample_crystals.num_atoms <= 4]
    templates = TemplatePrior(build_table(small, workers=1), shipped_similarity())
    both = FlowLLM(RankedPrior(prior, templates), None, [0, 3, 2, 2, 1, 1, *[0] * 14])
    both.save_pretrained(tmp_path / "both")
    model = ["--model", str(tmp_path / "both")]
    words = ["--element", "Ti", "--elements", "Zr,Ti", "--num", "1"]
    assert main(["infill", str(file), *model, *words, "--out", str(tmp_path / "a")]) == 0
    words = ["--keep", "2", "--formula", "SrTiO3", "--num-atoms", "5", "--num", "1"]
    assert main(["infill", str(file), *model, *words, "--out", str(tmp_path / "b")]) == 0
    assert pd.read_csv(tmp_path / "b" / "crystals.csv")["formula"].tolist() == ["SrTiO3"]
    assert main(["score", str(file), *model, "--out", str(tmp_path / "scores.csv")]) == 0
    assert pd.read_csv(tmp_path / "scores.csv")["nats"].notna().all()

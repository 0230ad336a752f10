"""`flowllm score`: crystals of any source, each with a row, ranked; bad ones told apart."""

import numpy as np
import pandas as pd
import pytest

from flowllm.cli import main
from flowllm.crystals.batch import CrystalBatch
from flowllm.data import CrystalSet
from flowllm.inputs import read_inputs
from flowllm.methods.language_model.likelihood import as_crystal_set, score
from flowllm.systems.system import FlowLLM
from flowllm.workflows.score import rank_by_likelihood


@pytest.fixture(scope="module")
def shipped():
    return FlowLLM.from_pretrained("mp20-compact", "cpu").prior


@pytest.fixture(scope="module")
def folder(sample_crystals, tmp_path_factory):
    """Twelve crystals as CIF files in their own cells, one broken file and one supercell."""
    folder = tmp_path_factory.mktemp("cifs")
    for name, structure in zip(
        sample_crystals.ids[:12], sample_crystals[:12].to_pymatgen(), strict=True
    ):
        structure.translate_sites(range(len(structure)), [0.13, 0.21, 0.4])
        structure.to(str(folder / f"{name}.cif"))
    (folder / "broken.cif").write_text("data_nothing\n")
    large = np.argmax(sample_crystals.num_atoms[:40])
    odd = sample_crystals[[int(large)]].to_pymatgen()[0] * (1, 1, 2)
    odd.replace(0, "Og")  # no longer two of a kind
    odd.to(str(folder / "large.cif"))
    return folder


def test_every_file_has_a_row_and_the_likeliest_stands_first(shipped, folder, sample_crystals):
    table = rank_by_likelihood(shipped, read_inputs(folder))
    assert len(table) == 14
    scored = table[table["nats"].notna()]
    assert len(scored) == 12
    assert (np.diff(scored["nats_per_token"]) <= 0).all()
    assert "20" in table.set_index("id").loc["large", "reason"]
    assert table.set_index("id").loc["broken", "reason"]
    assert table["reason"].iloc[:12].eq("").all()


def test_the_cell_of_the_file_plays_no_part(shipped, folder, sample_crystals):
    table = rank_by_likelihood(shipped, read_inputs(folder)).set_index("id")
    plain = score(shipped.model, shipped.tokenizer, as_crystal_set(sample_crystals[:12]))
    for name, nats in zip(sample_crystals.ids[:12], plain.total, strict=True):
        assert table.loc[name, "nats"] == pytest.approx(nats, abs=0.05)


def test_crystals_of_the_data_are_likelier_than_random_ones(shipped, sample_crystals):
    generator = np.random.default_rng(0)
    crystals = sample_crystals[:30]
    random = crystals.replace(
        frac_coords=generator.random(crystals.frac_coords.shape),
        ids=np.array([f"random-{k}" for k in range(30)]),
    )
    table = rank_by_likelihood(shipped, read_inputs(CrystalBatch.concatenate([crystals, random])))
    assert table["id"].iloc[:15].str.startswith("random").mean() < 0.2


def test_invariance_adds_its_columns(shipped, sample_crystals):
    calls = []
    table = rank_by_likelihood(
        shipped, read_inputs(sample_crystals[:3]), transformations=3,
        progress=lambda *call: calls.append(call),
    )  # fmt: skip
    assert (table[["ipt_translation", "ipt_permutation"]] >= 0).all(axis=None)
    assert {stage for stage, _, _ in calls} == {"likelihood", "translation", "permutation"}


def test_the_command_prints_the_best_and_writes_all(folder, tmp_path, capsys):
    assert main(["score", str(folder), "--num", "2", "--out", str(tmp_path / "a" / "b.csv")]) == 0
    said = capsys.readouterr().out
    assert "12 of 14 scored" in said and "1 not scored" in said
    written = pd.read_csv(tmp_path / "a" / "b.csv")
    assert len(written) == 14
    assert said.count("│") < 14 * 8  # two rows and a heading
    assert main(["score", str(folder), "--out", str(tmp_path / "a" / "b.csv")]) != 0
    assert "use --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere"),
        (["SOURCE", "--ipt", "1"], "at least 2 transformations"),
        (["SOURCE", "--model", "nothing"], "nothing is not a model"),
    ],
)
def test_what_cannot_be_scored_is_said(folder, capsys, words, message):
    words = [str(folder) if word == "SOURCE" else word for word in words]
    assert main(["score", *words]) != 0
    assert message in capsys.readouterr().err


def test_a_system_without_a_language_model_cannot_score(system, folder, tmp_path, capsys):
    from flowllm.workflows.train.source import make_prior

    training = CrystalBatch([11, 17], [(0, 0, 0), (0.5,) * 3], [[4] * 3], [[60] * 3], [2], ["a"])
    prior = make_prior("compositions", None, training)
    FlowLLM(prior, system.refiner, [0, 1]).save_pretrained(tmp_path)
    assert main(["score", str(folder), "--model", str(tmp_path)]) != 0
    assert "no language model" in capsys.readouterr().err


def test_nothing_readable_gives_an_empty_ranking(shipped, tmp_path):
    (tmp_path / "broken.cif").write_text("data_nothing\n")
    table = rank_by_likelihood(shipped, read_inputs(tmp_path))
    assert len(table) == 1 and table["nats"].isna().all()


def test_space_groups_are_found_as_in_the_data(sample_crystals):
    data = as_crystal_set(sample_crystals[:20])
    assert isinstance(data, CrystalSet)
    groups = data.properties["space_group"]
    assert ((groups >= 1) & (groups <= 230)).all()

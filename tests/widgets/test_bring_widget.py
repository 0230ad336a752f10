"""Bring: whatever holds a crystal is read, its faults are said, and the work has results."""

import numpy as np
import pytest
from ase.build import bulk

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm_widgets import Bring
from flowllm_widgets.bring.read import read_brought, read_file
from flowllm_widgets.bring.work import score_table
from flowllm_widgets.structure.player_view import PlayerView

SALT = CrystalBatch(
    [11, 35], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4.25,) * 3], [(60,) * 3], [2], ["NaBr"]
)
CIF = SALT.to_cif()[0]
POSCAR = SALT.to_pymatgen()[0].to(fmt="poscar")


@pytest.fixture(scope="module")
def brought():
    return Bring(SALT)


@pytest.mark.parametrize(
    "source",
    [CIF, POSCAR, SALT, SALT.to_pymatgen()[0], bulk("NaBr", "rocksalt", a=6.01)],
    ids=["cif", "poscar", "batch", "structure", "atoms"],
)
def test_every_source_gives_the_crystal(source):
    found = read_brought(source)
    assert found.crystals.formulas == ["NaBr"]
    assert found.crystals.volumes[0] == pytest.approx(SALT.volumes[0], rel=0.01)


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_path_is_read(kind, tmp_path):
    (tmp_path / "salt.cif").write_text(CIF)
    assert read_brought(kind(tmp_path / "salt.cif")).crystals.ids[0] == "salt"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.cif", b"no cif", "a"),
        ("picture.png", b"\x89PNG\x00\x01", "picture.png"),
        ("../../up.cif", b"data_x\n", "up"),
        ("", b"x", "pasted"),
        ("empty.cif", b" ", "it is empty"),
    ],
)
def test_what_cannot_be_read_is_named_without_a_folder_of_ours(name, content, words):
    with pytest.raises(InputError, match=words) as told:
        read_file(name, content)
    assert "/tmp" not in str(told.value)


def test_a_dropped_file_is_shown_with_its_facts_and_the_nearest_known():
    bring = Bring()
    assert bring._body.layout.display == "none" and bring.score.disabled
    bring.source.drop._take(None, {"do": "bring", "name": "mine.cif"}, [memoryview(CIF.encode())])
    assert bring.source.drop.note == "mine" and not bring.source.drop.fault
    assert bring.view.crystal is bring.given and bring.given.formulas == ["NaBr"]
    assert "Fm-3m (225)" in bring.about.facts.value and "NaBr" in bring.about.nearest.value
    assert bring._body.layout.display == "" and not bring.score.disabled


def test_a_bad_file_leaves_what_was_there(brought):
    brought.source._dropped("bad.cif", b"data_bad\n_cell_length_a 3\n")
    assert brought.source.drop.fault and "bad" in brought.source.drop.note
    assert brought.given.formulas == ["NaBr"] and not brought.message.text


def test_pasted_text_is_no_path():
    bring = Bring()
    bring.source.text.value = "nowhere.cif"
    bring.source.read.click()
    assert bring.source.drop.fault and "not of a supported kind" in bring.source.drop.note
    bring.source.text.value = POSCAR
    bring.source.read.click()
    assert not bring.source.drop.fault and bring.given.formulas == ["NaBr"]


def test_one_of_several_crystals_is_chosen():
    other = SALT.replace(atomic_numbers=[11, 17], ids=["NaCl"])
    bring = Bring(CrystalBatch.concatenate([SALT, other]))
    assert [text for text, _ in bring.source.which.options] == ["NaBr · NaBr", "NaCl · NaCl"]
    bring.source.which.value = 1
    assert bring.view.crystal.formulas == ["NaCl"] and "NaCl" in bring.source.drop.note


def test_refining_shows_the_way_and_the_scores_include_it(brought):
    brought.bring(SALT.replace(frac_coords=[(0, 0, 0), (0.47, 0.5, 0.52)]))
    brought.refine.click()
    assert brought.wait(300) and not brought.message.text, brought.message.text
    assert len(brought.trajectory) > 2 and brought.state.value == "refined"
    (player,) = brought._slot.children
    assert isinstance(player, PlayerView)
    assert brought.about.stability._others.keys() == {"given"}
    brought.score.click()
    assert brought.wait(300) and not brought.message.text, brought.message.text
    scores = brought.table.set_index("id")["nats_per_token"]
    assert {"given", "refined"} < set(scores.index) and np.isfinite(scores).all()
    assert scores.filter(like="NaBr (").iloc[0] > scores["given"]  # which was displaced
    brought.state.value = "given"
    assert brought._slot.children == (brought.view,)


def test_neighbours_are_of_its_formula_then_of_its_kind(brought):
    brought.bring(SALT)
    brought.known.button.click()
    first, *rest = [known for known, _ in brought.known.found]
    assert first.same and first.formula == "NaBr"
    assert len(rest) == 7 and not any(known.same for known in rest)
    assert all(known.space_group == 225 for known in rest if known.formula != "NaBr")
    brought.known.menu.value = 2
    assert brought.known.view.crystal.formulas == [brought.known.found[2][0].formula]


def test_what_has_no_score_says_why(brought):
    big = bulk("Na", "bcc", a=4.2).repeat((2, 2, 6))
    rng = np.random.default_rng(0)
    big.positions += rng.normal(0, 0.2, big.positions.shape)
    brought.bring(big)
    brought.score.click()
    assert brought.wait(300)
    assert "24 atoms" in score_table(brought.table)
    brought.refine.click()
    assert brought.wait(300) and "24 atoms" in brought.message.text


def test_a_system_that_is_not_there_is_named():
    with pytest.raises(InputError, match="unknown system 'cdvea'"):
        Bring(start="cdvea")

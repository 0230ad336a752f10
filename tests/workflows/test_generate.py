"""Runs on disk: their layout, what goes on after a kill, what is refused, refinement of CIFs."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import numpy as np
import pytest

from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.inputs.remarks import summary
from flowllm.methods.flow.settings import RefineSettings
from flowllm.runs.archive import read_archive
from flowllm.training.device import used_threads
from flowllm.workflows.generate import GenerateSettings, generate_run, read_crystals, refine_run
from flowllm.workflows.results import CSV_COLUMNS

FEW_STEPS = RefineSettings(steps=2)
SALT = Request(elements=("Na", "Cl"), num_atoms=3)
SETTINGS = GenerateSettings(6, SALT, refinement=FEW_STEPS, seed=4, part_size=2)

DISORDERED = """data_x
_symmetry_space_group_name_H-M 'P 1'
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Fe1 Fe 0 0 0 0.5
Ni1 Ni 0 0 0 0.5
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As in a process that `in_process` starts: with another number the last bits may differ."""
    with used_threads(1):
        yield


@pytest.fixture(scope="module")
def finished(system, tmp_path_factory):
    """A finished run with its page, and what it gave."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, generate_run(system, SETTINGS, out)


@pytest.fixture
def no_page(monkeypatch):
    """The page takes a second and is no matter here."""
    monkeypatch.setattr(
        "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
    )


def times_of_parts(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted((out / "parts").glob("*.npz"))}


def same_results(a: Path, b: Path) -> None:
    """The files that two runs leave are equal but for the seconds."""
    first, second = Trajectory.load(a / "trajectories.npz"), Trajectory.load(b / "trajectories.npz")
    for name in first.__dataclass_fields__:
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
    for name in ("crystals.csv", "crystals.extxyz"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    for kind in ("crystals", "prior"):
        names = sorted(path.name for path in (a / kind).iterdir())
        assert names == sorted(path.name for path in (b / kind).iterdir())
        for name in names:
            assert (a / kind / name).read_text() == (b / kind / name).read_text()


# ---- the layout ----------------------------------------------------------------------------------


def test_a_run_leaves_all_that_is_promised(finished):
    out, generation = finished
    names = [f"c{index:06d}.cif" for index in range(6)]
    assert sorted(path.name for path in (out / "crystals").iterdir()) == names
    assert sorted(path.name for path in (out / "prior").iterdir()) == names
    refined = CrystalBatch.from_cif([(out / "crystals" / name).read_text() for name in names])
    assert np.array_equal(refined.atomic_numbers, generation.refined.atomic_numbers)
    assert np.allclose(refined.lengths, generation.refined.lengths, atol=1e-5)
    before = CrystalBatch.from_cif([(out / "prior" / name).read_text() for name in names])
    assert np.allclose(before.lengths, generation.prior.lengths, atol=1e-5)
    trajectory = Trajectory.load(out / "trajectories.npz")
    assert trajectory.times.tolist() == [0, 1] and trajectory.num_crystals == 6
    page = (out / "report.html").read_text()
    assert "<html" in page and "c000000" in page
    record = json.loads((out / "run.json").read_text())
    assert record["command"] == "generate" and record["status"] == "finished"
    assert not list(out.glob(".*.tmp")) and not list(out.glob(".*.partial"))


def test_the_table_names_each_crystal_with_its_prompt_and_validities(finished):
    out, generation = finished
    with open(out / "crystals.csv", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == list(CSV_COLUMNS)
    assert [row["id"] for row in rows] == generation.refined.ids.tolist()
    assert [row["formula"] for row in rows] == generation.refined.formulas
    assert all("The number of atoms is 3." in row["prompt"] for row in rows)
    flags = {row[name] for row in rows for name in ("valid_structure", "valid_composition")}
    assert flags <= {"true", "false"}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["crystals"] == 6
    for name in ("structure", "composition"):
        count = sum(row[f"valid_{name}"] == "true" for row in rows)
        assert summary[f"valid_{name}s"] == count
    decoding = summary["decoding"]  # of both parts, which were read again or not
    assert decoding["tokens"] == generation.decoding.tokens > 6 * (10 + 4 * 3)
    assert decoding["tokens_per_second"] > 0 and 0 <= decoding["padding"] < 1


def test_the_extended_xyz_file_holds_all_refined_crystals(finished):
    from ase.io import read

    out, generation = finished
    images = read(out / "crystals.extxyz", index=":")
    assert [f"{atoms.info['id']:06}" for atoms in images] == generation.refined.ids.tolist()
    numbers = np.concatenate([atoms.numbers for atoms in images])
    assert np.array_equal(numbers, generation.refined.atomic_numbers)


def test_the_page_loads_nothing_from_elsewhere(finished):
    import re

    page = (finished[0] / "report.html").read_text()
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(https?:)?//", page)


# ---- species that change -------------------------------------------------------------------------


def test_species_that_the_refiner_moves_are_in_all_files_and_come_back(
    system, tmp_path, monkeypatch, no_page
):
    refine = system.refiner.refine

    def moving(*arguments, **options):
        """The flow, with sodium in the place of an open species at the start."""
        path = refine(*arguments, **options)
        numbers = np.array(path.atomic_numbers)
        numbers[0, numbers[-1] == 11] = 0
        return Trajectory(**{**vars(path), "atomic_numbers": numbers})

    monkeypatch.setattr(system.refiner, "refine", moving)
    made = generate_run(system, SETTINGS, tmp_path / "run")
    assert made.trajectory.species_change and (made.refined.atomic_numbers > 0).all()
    path = Trajectory.load(tmp_path / "run" / "trajectories.npz")
    assert np.array_equal(path.atomic_numbers, made.trajectory.atomic_numbers)
    texts = [file.read_text() for file in sorted((tmp_path / "run" / "crystals").iterdir())]
    assert CrystalBatch.from_cif(texts).formulas == made.refined.formulas

    monkeypatch.setattr(system.refiner, "refine", None)  # everything is read from the parts
    (tmp_path / "run" / "crystals.csv").unlink()
    again = generate_run(system, SETTINGS, tmp_path / "run")
    assert np.array_equal(again.trajectory.atomic_numbers, made.trajectory.atomic_numbers)
    assert (tmp_path / "run" / "crystals.csv").exists()


# ---- going on ------------------------------------------------------------------------------------

KILL = """
import os, signal
import flowllm.workflows.generate as g
from flowllm.systems.system import FlowLLM

fsync = os.fsync
def kill(handle):  # in the middle of the third part's file, before it has its name
    fsync(handle)
    if os.path.isdir(parts) and len(os.listdir(parts)) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = kill
g.generate_run(FlowLLM.from_pretrained(model, "cpu"), settings, out)
"""


def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(
    system, system_folder, finished, in_process, tmp_path
):
    out = tmp_path / "killed"
    names = {"model": system_folder, "settings": SETTINGS, "out": out, "parts": out / "parts"}
    assert in_process(KILL, **names) == -signal.SIGKILL
    kept = times_of_parts(out)
    assert list(kept) == ["000000.npz", "000002.npz"]
    assert not (out / "crystals").exists()
    generate_run(system, SETTINGS, out)
    now = times_of_parts(out)
    assert list(now) == ["000000.npz", "000002.npz", "000004.npz"]
    assert {name: now[name] for name in kept} == kept
    same_results(out, finished[0])
    assert not list(out.glob("**/.*.tmp"))


def test_a_run_killed_while_it_writes_its_results_writes_them_again(
    system, finished, tmp_path, no_page, monkeypatch
):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("flowllm.workflows.results.write_extxyz", stop)
        with pytest.raises(KeyboardInterrupt):
            generate_run(system, SETTINGS, out)
    assert json.loads((out / "run.json").read_text())["status"] == "running"
    kept = times_of_parts(out)
    generate_run(system, SETTINGS, out)
    assert times_of_parts(out) == kept
    same_results(out, finished[0])


def stop(*arguments, **options):
    raise KeyboardInterrupt


def test_a_finished_run_is_not_done_again(system, tmp_path, no_page, monkeypatch):
    out = tmp_path / "run"
    first = generate_run(system, SETTINGS, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != ".lock"}
    monkeypatch.setattr(type(system), "generate_range", stop)
    again = generate_run(system, SETTINGS, out)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.prompts == first.prompts
    assert np.array_equal(again.refined.frac_coords, first.refined.frac_coords)
    (out / "crystals.csv").unlink()  # what someone removed comes back
    generate_run(system, SETTINGS, out)
    assert (out / "crystals.csv").is_file()


@pytest.mark.parametrize("damage", ["no archive", "cut", "of other crystals"])
def test_a_damaged_part_is_made_again(system, finished, tmp_path, no_page, damage):
    out = tmp_path / "run"
    generate_run(system, SETTINGS, out)
    part, other = out / "parts" / "000002.npz", out / "parts" / "000000.npz"
    whole = part.read_bytes()
    broken = {
        "no archive": b"PK broken", "cut": whole[: len(whole) // 2],
        "of other crystals": other.read_bytes(),
    }[damage]  # fmt: skip
    part.write_bytes(broken)
    (out / "crystals.csv").unlink()
    generate_run(system, SETTINGS, out)
    same_results(out, finished[0])
    arrays = read_archive(part, "is not a part")
    assert arrays["ids"].tolist() == ["c000002", "c000003"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 5}, "seed is 4 there and 5 now"),
        ({"num": 7}, "num is 6 there and 7 now"),
        ({"request": Request(formula="NaCl")}, 'formula is null there and "NaCl" now'),
        ({"refinement": RefineSettings(steps=3)}, "steps is 2 there and 3 now"),
    ],
)
def test_a_folder_with_another_run_is_refused(system, finished, change, named):
    out, _ = finished
    before = (out / "crystals.csv").read_bytes()
    settings = GenerateSettings(**{**vars(SETTINGS), **change})
    with pytest.raises(InputError, match=named):
        generate_run(system, settings, out)
    assert (out / "crystals.csv").read_bytes() == before


def test_other_weights_under_the_same_name_are_another_run(system, finished):
    from flowllm.systems.system import FlowLLM

    other = FlowLLM(system.prior, system.refiner, [1.0] * 20, system.name)
    with pytest.raises(InputError, match="model is"):
        generate_run(other, SETTINGS, finished[0])


def test_overwrite_replaces_another_run(system, tmp_path, no_page):
    out = tmp_path / "run"
    generate_run(system, SETTINGS, out)
    fewer = GenerateSettings(2, SALT, refinement=FEW_STEPS)
    generate_run(system, fewer, out, overwrite=True)
    assert len(list((out / "crystals").iterdir())) == len(list((out / "prior").iterdir())) == 2
    assert list(times_of_parts(out)) == ["000000.npz"]


def test_bad_wishes_leave_an_earlier_run_alone(system, finished):
    wrong = GenerateSettings(1, Request(prompts=("The elements are Li, Qq. ",)))
    with pytest.raises(InputError, match="Qq"):
        generate_run(system, wrong, finished[0], overwrite=True)
    assert (finished[0] / "report.html").is_file()


# ---- refinement of CIFs --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cif_texts():
    """A rock salt cell of 8 atoms, a large one, a disordered one, and a text that is no CIF."""
    from pymatgen.core import Lattice, Structure
    from pymatgen.io.cif import CifWriter

    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
    )
    assert len(salt) == 8
    large = Structure(Lattice.cubic(12), ["Si"] * 21, np.random.default_rng(0).random((21, 3)))
    texts = {"disordered": DISORDERED, "broken": "once upon a time"}
    return texts | {"salt": str(CifWriter(salt)), "large": str(CifWriter(large))}


@pytest.fixture
def cifs(tmp_path, cif_texts):
    """A folder of these."""
    folder = tmp_path / "cifs"
    folder.mkdir()
    for name, text in cif_texts.items():
        (folder / f"{name}.cif").write_text(text)
    return folder


def test_of_several_files_the_bad_ones_are_named_and_the_rest_goes_on(
    system, cifs, tmp_path, no_page
):
    names = ("large", "salt", "disordered", "broken")
    files = [cifs / f"{name}.cif" for name in names]
    out = tmp_path / "out"
    generation, refused = refine_run(system, files, FEW_STEPS, out)
    assert generation.prior.num_atoms.tolist() == [2]
    assert generation.refined.formulas == ["NaCl"]
    assert np.allclose(generation.prior.lengths, 5.64 / np.sqrt(2), atol=1e-3)
    assert np.allclose(generation.prior.angles, 60, atol=1e-3)
    assert generation.prompts == [f"refined from {cifs / 'salt.cif'}"]
    assert [path.name for path in (out / "crystals").iterdir()] == ["c000000.cif"]
    reasons = {"broken": "cannot be parsed", "disordered": "partial occupancy", "large": "21 atoms"}
    assert len(refused) == 3
    for name, reason in reasons.items():
        assert any(m.startswith(f"{cifs / name}.cif") and reason in m for m in refused), name
    assert json.loads((out / "summary.json").read_text())["left_out"] == refused
    assert generation.stages[0].rejected == 3


def test_refinement_of_many_files_goes_on_where_it_stopped(
    system, sample_crystals, tmp_path, no_page, monkeypatch
):
    files = []
    for crystal in sample_crystals[:5]:
        files.append(tmp_path / f"{crystal.ids[0]}.cif")
        files[-1].write_text(crystal.to_cif()[0])
    whole, _ = refine_run(system, files, FEW_STEPS, tmp_path / "whole", part_size=2)
    refine, calls = type(system).refine, []

    def interrupted(self, *arguments, **named):
        calls.append(0)
        return stop() if len(calls) == 3 else refine(self, *arguments, **named)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(type(system), "refine", interrupted)
        with pytest.raises(KeyboardInterrupt):
            refine_run(system, files, FEW_STEPS, out, part_size=2)
    kept = times_of_parts(out)
    assert list(kept) == ["000000.npz", "000002.npz"]
    resumed, _ = refine_run(system, files, FEW_STEPS, out, part_size=2)
    assert {name: times_of_parts(out)[name] for name in kept} == kept
    assert np.array_equal(resumed.refined.frac_coords, whole.refined.frac_coords)
    assert resumed.prompts == whole.prompts == [f"refined from {file}" for file in files]
    assert resumed.refined.ids.tolist() == [f"c{index:06d}" for index in range(5)]
    same_results(out, tmp_path / "whole")
    files[0].write_text(sample_crystals[7].to_cif()[0])
    with pytest.raises(InputError, match="files is"):  # another content is another run
        refine_run(system, files, FEW_STEPS, out, part_size=2)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no crystal file is given"),
        (["nowhere.cif"], "no such file or folder: .*nowhere.cif"),
        (["salt.cif", "nowhere.cif"], "no such file or folder: .*nowhere.cif"),
        (["broken.cif"], "nothing to refine: .*broken.cif.*cannot be parsed"),
        (["disordered.cif", "large.cif"], "disordered.cif.*partial occupancy.*large.cif: 21 atoms"),
    ],
)
def test_where_nothing_can_be_refined_nothing_is_written(system, cifs, tmp_path, names, message):
    out = tmp_path / "new" / "out"
    with pytest.raises(InputError, match=message):
        refine_run(system, [cifs / name for name in names], FEW_STEPS, out)
    assert not out.parent.exists()


def test_a_folder_is_refined_as_its_files_are(system, cifs, tmp_path, no_page):
    """Every file below it is one of the inputs; the table says what was left out and remarked."""
    (cifs / "notes.txt").write_text("no crystal")
    (cifs / "deuterium.cif").write_text(
        (cifs / "salt.cif").read_text().replace("  Cl  ", "  D  ").replace("  Cl-  ", "  D  ")
    )
    said = []
    made, refused = refine_run(system, [cifs], FEW_STEPS, tmp_path / "out", on_read=said.append)
    assert len(refused) == 3 and sorted(made.refined.formulas) == ["NaCl", "NaH"]
    assert said[0].notes == ("not read, of other kinds: 1 × .txt",)
    with open(tmp_path / "out" / "crystals.csv", newline="") as handle:
        remarks = {row["formula"]: row["remarks"] for row in csv.DictReader(handle)}
    assert remarks["NaCl"] == "" and "Cl4 is deuterium, read as H" in remarks["NaH"]
    assert summary(remarks.values()).startswith("5 remarks: 4 × … is deuterium, read as H")


def test_inputs_in_the_output_folder_are_safe(system, cifs):
    with pytest.raises(InputError, match="lies in the output folder"):
        refine_run(system, [cifs / "salt.cif"], FEW_STEPS, cifs, overwrite=True)
    assert (cifs / "salt.cif").is_file()


def test_the_hash_of_the_files_follows_their_content(cifs):
    first = read_crystals([cifs / "salt.cif"], 20).content
    (cifs / "salt.cif").write_text((cifs / "salt.cif").read_text() + "\n")
    assert read_crystals([cifs / "salt.cif"], 20).content != first


@pytest.mark.parametrize("change", [{"num": 0}, {"seed": -1}, {"part_size": 0}])
def test_settings_check_themselves(change):
    with pytest.raises(InputError, match=next(iter(change)).replace("num", "number")):
        GenerateSettings(**{"num": 1, **change})

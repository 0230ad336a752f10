"""What a run leaves for people, piece by piece."""

from __future__ import annotations

import csv
import errno
import json

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.metrics.facts import crystal_facts
from flowllm.systems.generation import Generation, Stage
from flowllm.workflows.results import CSV_COLUMNS, crystal_rows, table, write_cifs, write_results


@pytest.fixture
def generation():
    """Rock salt, and two silicon atoms nearly on top of each other."""
    start = CrystalBatch(
        [11, 17, 14, 14],
        [[0, 0, 0], [0.4, 0.5, 0.5], [0, 0, 0], [0.01, 0, 0]],
        [[4.0, 4.0, 4.0], [5.0, 5.0, 5.0]],
        [[60.0, 60.0, 60.0], [90.0, 90.0, 90.0]],
        [2, 2],
        ["c000000", "c000001"],
    )
    coords = start.frac_coords.copy()
    coords[1] = 0.5
    trajectory = Trajectory.from_frames([0, 1], [start, start.replace(frac_coords=coords)])
    stages = [Stage("language model", 2, 1, 0.5), Stage("Riemannian flow", 2, 0, 0.25)]
    return Generation(["a prompt\n", 'one with "quotes", and a comma\n'], start, trajectory, stages)


def rows_of(generation):
    return crystal_rows(generation, crystal_facts(generation.refined))


def test_rows_tell_validity_of_the_refined_crystal(generation):
    rows = rows_of(generation)
    assert [row["formula"] for row in rows] == ["NaCl", "Si"]
    assert [row["valid_structure"] for row in rows] == [True, False]
    assert [row["valid_composition"] for row in rows] == [True, True]
    assert rows[0]["prompt"] == "a prompt"
    assert (rows[0]["space_group"], rows[0]["symbol"]) == (225, "Fm-3m")
    # Na-Cl of 2.828 Å over 1.66 + 1.02 Å; Si-Si of 0.05 Å over 2.22 Å
    assert [row["contact_over_radii"] for row in rows] == pytest.approx([1.0554, 0.0225], abs=1e-4)


def test_elements_that_no_table_knows_are_no_obstacle(generation):
    trajectory = generation.trajectory
    numbers = np.where(trajectory.atomic_numbers == 11, 114, trajectory.atomic_numbers)  # Fl
    odd = Trajectory(**{**vars(trajectory), "atomic_numbers": numbers})
    rows = rows_of(Generation(generation.prompts, odd.first, odd))
    assert [row["valid_composition"] for row in rows] == [False, True]


def test_the_table_reads_back(generation):
    import csv
    import io

    rows = rows_of(generation)
    read = list(csv.DictReader(io.StringIO(table(rows))))
    assert tuple(read[0]) == CSV_COLUMNS
    assert read[1]["prompt"] == 'one with "quotes", and a comma'
    assert [row["valid_structure"] for row in read] == ["true", "false"]


def test_cifs_replace_those_that_were_there(generation, tmp_path):
    folder = tmp_path / "crystals"
    write_cifs(folder, generation.refined)
    write_cifs(folder, generation.refined[:1])
    assert [path.name for path in tmp_path.rglob("*.cif")] == ["c000000.cif"]
    back = CrystalBatch.from_cif([(folder / "c000000.cif").read_text()])
    assert np.allclose(back.frac_coords, [[0, 0, 0], [0.5, 0.5, 0.5]], atol=1e-6)


def test_refined_crystals_are_written_by_their_symmetry_and_those_of_the_prior_as_they_are(
    generation, tmp_path
):
    write_results(tmp_path, generation, {})
    text = (tmp_path / "crystals" / "c000000.cif").read_text()
    assert "'F m -3 m'" in text and "Cl1 Cl 4 b 0.5" in text
    back = CrystalBatch.from_cif([text])
    assert back.num_atoms[0] == 8 and back.lengths[0] == pytest.approx([4 * 2**0.5] * 3)
    assert "Wyckoff" in (tmp_path / "crystals" / "c000001.cif").read_text()
    assert "Wyckoff" not in (tmp_path / "prior" / "c000000.cif").read_text()
    names = ["c000000", "c000001"]
    prior = CrystalBatch.from_cif([(tmp_path / "prior" / f"{n}.cif").read_text() for n in names])
    assert prior.num_atoms.tolist() == [2, 2]


def test_the_summary_counts_and_the_page_gets_what_it_shows(generation, tmp_path, monkeypatch):
    given = {}

    def page(path, **options):
        given.update(options)
        path.write_text("page")

    monkeypatch.setattr("flowllm.workflows.results.write_report", page)
    write_results(tmp_path, generation, {"seed": 3}, ["x.cif: partial occupancy"])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["crystals"], summary["valid_structures"], summary["valid_compositions"]) == (
        2,
        1,
        2,
    )
    assert summary["stages"][0] == {
        "name": "language model",
        "crystals": 2,
        "rejected": 1,
        "seconds": 0.5,
    }
    assert summary["left_out"] == ["x.cif: partial occupancy"]
    assert summary["settings"] == {"seed": 3}
    assert [stage["stage"] for stage in given["stages"]] == ["language model", "Riemannian flow"]
    assert given["rows"] == rows_of(generation)
    assert (tmp_path / "report.html").read_text() == "page"


@pytest.mark.parametrize("at", ["to_cif", "page"])
def test_a_full_disk_is_named_and_leaves_no_half_file(generation, tmp_path, monkeypatch, at):
    def full(path, *arguments, **options):
        if at == "page":
            path.write_text("half a page")
        raise OSError(errno.ENOSPC, "No space left on device")

    target = f"flowllm.workflows.results.{'write_report' if at == 'page' else 'write_new'}"
    monkeypatch.setattr(target, full)
    named = tmp_path / ("report.html" if at == "page" else "crystals")
    with pytest.raises(InputError, match=f"^{named}: the disk is full"):
        write_results(tmp_path, generation, {})
    left = {path.name for path in tmp_path.iterdir()}
    assert "report.html" not in left and not any(name.startswith(".") for name in left)
    assert ("crystals" in left) == (at == "page")


def test_open_species_of_a_prior_are_no_obstacle(generation, tmp_path):
    start = generation.prior
    open_start = start.replace(atomic_numbers=[0, 17, 14, 14])
    path = Trajectory.from_frames([0, 1], [open_start, generation.refined])
    write_results(tmp_path, Generation(generation.prompts, open_start, path, generation.stages), {})
    assert [p.name for p in (tmp_path / "prior").iterdir()] == ["c000001.cif"]
    assert len(list((tmp_path / "crystals").iterdir())) == 2
    back = Trajectory.load(tmp_path / "trajectories.npz")
    assert back.first.atomic_numbers.tolist() == [0, 17, 14, 14]
    assert back.last.atomic_numbers.tolist() == [11, 17, 14, 14]
    assert '"0":["X",' in (tmp_path / "report.html").read_text()


def test_a_refined_crystal_with_an_open_species_is_named(generation, tmp_path):
    """As of a refiner whose analog bits stand for no element; the run keeps its other crystals."""
    end = generation.refined.replace(atomic_numbers=[11, 17, 14, 0])
    path = Trajectory.from_frames([0, 1], [generation.prior, end])
    made = Generation(generation.prompts, generation.prior, path, generation.stages)
    write_results(tmp_path, made, {}, ["x.cif: partial occupancy"])
    assert [p.name for p in (tmp_path / "crystals").iterdir()] == ["c000000.cif"]
    left_out = json.loads((tmp_path / "summary.json").read_text())["left_out"]
    assert left_out[0] == "x.cif: partial occupancy"
    assert left_out[1].startswith("c000001: a species is open (X)")
    rows = list(csv.DictReader((tmp_path / "crystals.csv").open()))
    assert [row["valid_composition"] for row in rows] == ["true", "false"]
    assert Trajectory.load(tmp_path / "trajectories.npz").last.atomic_numbers[-1] == 0
    assert '"0":["X",' in (tmp_path / "report.html").read_text()

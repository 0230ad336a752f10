from __future__ import annotations

import shutil

import numpy as np
import pytest

from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.evaluation import Report
from flowllm.methods.flow.settings import RefineSettings
from flowllm.metrics.properties import density
from flowllm.workflows.generate import GenerateSettings, generate_run
from flowllm_widgets import CrystalBrowser
from flowllm_widgets.browser.catalogue import SLOW, read_catalogue, slow_columns
from tests.widgets.reports import made_report, spread_report, textbook


@pytest.fixture(scope="module")
def run(system, tmp_path_factory):
    """The folder of a run of `flowllm generate` with a tiny system, and what it gave."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    settings = GenerateSettings(
        4, Request(elements=("Na", "Cl"), num_atoms=3), refinement=RefineSettings(steps=2),
        part_size=3,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:  # the page is no matter here
        patch.setattr(
            "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
        )
        return out, generate_run(system, settings, out)


def test_a_batch_gets_a_row_of_properties_each():
    crystals = textbook(4)
    found = read_catalogue(crystals)
    assert found.rows["id"].tolist() == crystals.ids.tolist()
    assert found.rows["formula"].tolist() == crystals.formulas
    assert found.rows["elements"].tolist()[0] == "Na O"
    assert found.rows["num_atoms"].tolist() == [2, 2, 5, 2]
    assert np.allclose(found.rows["density"], density(crystals))
    assert found.missing == SLOW
    assert found.crystal(2).ids.tolist() == ["c000002"]
    assert found.crystal_before(2) is None


def test_columns_that_take_time_are_right_and_complete_the_catalogue():
    found = read_catalogue(textbook(3))
    ticks = []
    columns = slow_columns(found.crystals, found.missing, lambda *at: ticks.append(at))
    whole = found.with_columns(columns)
    assert whole.rows["space_group"].tolist() == [225, 225, 221]
    assert whole.rows["valid_structure"].all()
    assert whole.missing == () and ticks == [(0, 3)]
    assert found.missing == SLOW  # the other is as it was


def test_work_that_is_stopped_ends_at_its_next_tick():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slow_columns(textbook(3), SLOW, stop)


def test_a_report_keeps_all_its_columns_and_its_unreadable_rows():
    report = spread_report("ours", num=5)
    report.rows.loc[2, ["id", "reason"]] = ["broken", "no such element"]
    found = read_catalogue(report)
    assert found.name == "ours" and len(found.rows) == 5
    assert found.place.tolist() == [0, 1, -1, 3, 4]
    assert found.crystal(2) is None and not found.elements[2].any()
    assert found.rows["e_above_hull"].notna().sum() == 4
    whole = found.with_columns({"space_group": np.arange(5)})
    assert whole.rows["space_group"].tolist()[3] == 3 and whole.rows["space_group"].isna()[2]


def test_a_saved_evaluation_reads_as_it_was(tmp_path):
    report = spread_report("ours", num=5)
    report.rows["space_group"] = np.array([225.0, np.nan, 221, 1, 1])
    report.save(tmp_path / "eval")
    found = read_catalogue(tmp_path / "eval")
    assert found.name == "ours"
    assert found.rows["space_group"].dtype == "Int64"
    assert found.rows["valid_structure"].all()


def test_files_of_any_program_are_read(tmp_path):
    crystals = textbook(3)
    for name, text in zip(crystals.ids, crystals.to_cif(), strict=True):
        (tmp_path / f"{name}.cif").write_text(text)
    (tmp_path / "zz.cif").write_text("no crystal")
    found = read_catalogue(tmp_path)
    assert found.rows["formula"].tolist() == [*crystals.formulas, ""]
    assert found.rows["reason"].tolist()[3] and found.crystal(3) is None


def test_a_run_holds_each_crystal_before_and_after_refinement(run):
    out, generation = run
    found = read_catalogue(out)
    assert found.rows["id"].tolist() == generation.refined.ids.tolist()
    for row in range(4):
        assert np.allclose(found.crystal(row).frac_coords, generation.refined[row].frac_coords)
        assert np.allclose(found.crystal_before(row).lengths, generation.prior[row].lengths)
    assert found.missing == ("space_group",)  # the run's table holds both validities


def test_an_evaluation_inside_its_run_knows_the_crystals_before(run):
    out, generation = run
    report = made_report("ours", None, num=4)
    rows = report.rows.assign(id=generation.refined.ids, formula=generation.refined.formulas)
    Report("ours", {}, {}, rows, generation.refined).save(out / "eval")
    found = read_catalogue(out / "eval")
    assert np.allclose(found.crystal_before(1).lengths, generation.prior[1].lengths)
    shutil.rmtree(out / "eval")


def test_an_evaluation_knows_the_crystals_as_they_were_relaxed(tmp_path):
    from flowllm.relax.relaxation import Relaxation

    report = made_report("ours", None, num=3)
    report.save(tmp_path / "eval")
    some = report.crystals[[2, 0]]
    relaxed = some.replace(lengths=1.1 * some.lengths)
    blank, words = np.zeros(2), np.array(["", ""])
    (tmp_path / "eval/stages/relaxation").mkdir(parents=True)
    Relaxation(relaxed, blank, blank, blank.astype(int), blank == 0, words, blank).save(
        tmp_path / "eval/stages/relaxation/relaxed.npz"
    )
    found = read_catalogue(tmp_path / "eval")
    assert np.allclose(found.crystal_relaxed(2).lengths, 1.1 * found.crystal(2).lengths)
    assert found.crystal_relaxed(1) is None
    browser = CrystalBrowser(tmp_path / "eval")
    assert "relaxed by CHGNet" in browser.relaxed.caption.value
    assert np.allclose(browser.relaxed.crystal.lengths, relaxed[1].lengths)
    browser.table.selected = 1
    assert browser.relaxed.crystal is None and browser.after.crystal is not None


def test_without_recorded_arrays_the_crystals_before_come_from_their_files(run, tmp_path):
    out, generation = run
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    shutil.rmtree(copy / "parts")
    (copy / "trajectories.npz").unlink(missing_ok=True)
    found = read_catalogue(copy)
    assert found.crystal_before(0).volumes == pytest.approx(generation.prior[0].volumes, rel=1e-4)


def test_the_start_of_a_trajectory_is_the_crystal_before():
    after = textbook(3)
    before = after.replace(lengths=after.lengths * 1.1)[[2, 0]]
    path = Trajectory.from_frames([0.0, 1.0], [before, after[[2, 0]]])
    found = read_catalogue(after, path)
    assert np.allclose(found.crystal_before(2).lengths, 1.1 * found.crystal(2).lengths)
    assert found.crystal_before(1) is None
    with pytest.raises(InputError, match="trajectory"):
        read_catalogue(textbook(2, start=50), path)


def test_two_crystals_of_one_id_are_told_apart():
    twice = textbook(2).replace(ids=np.array(["a", "a"]))
    assert read_catalogue(twice).rows["id"].tolist() == ["a", "a-2"]


def test_nothing_is_refused(tmp_path):
    with pytest.raises(InputError):
        read_catalogue(CrystalBatch.empty())
    with pytest.raises(InputError, match="no such"):
        read_catalogue(tmp_path / "nowhere")


def test_a_report_without_crystals_still_lists_its_rows():
    report = made_report("ours", None, num=2)
    bare = type(report)("ours", {}, {}, report.rows, CrystalBatch.empty())
    found = read_catalogue(bare)
    assert len(found.rows) == 2 and found.crystal(0) is None

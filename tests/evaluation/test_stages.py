"""A stage is one entry, from which everything else follows."""

import shutil

import pytest

from flowllm.cli import main
from flowllm.errors import InputError
from flowllm.evaluation.stages import (
    COLUMNS,
    DEFAULT_STAGES,
    FLAGS,
    RATES,
    REGISTRY,
    STAGE_OF,
    STAGES,
    TILES,
    chosen_stages,
)
from flowllm.evaluation.stages.stage import EvaluationStage


def test_stages_bring_along_what_they_need():
    assert chosen_stages(["stability"]) == ("validity", "relaxation", "stability")
    assert chosen_stages(None) == DEFAULT_STAGES == STAGES[:-2]
    with pytest.raises(InputError, match="unknown stage 'spin'"):
        chosen_stages(["spin"])


@pytest.mark.parametrize("stage", REGISTRY, ids=lambda stage: stage.name)
def test_a_stage_has_its_code_and_needs_only_stages_before_it(stage):
    assert callable(stage.load())
    assert set(stage.needs) <= set(STAGES[: STAGES.index(stage.name)])


def test_every_column_has_one_stage_and_its_place_in_the_table():
    assert len(set(COLUMNS)) == len(COLUMNS) == sum(len(stage.columns) for stage in REGISTRY)
    assert STAGE_OF["e_above_hull"] == "stability" and set(STAGE_OF) == set(COLUMNS)
    assert COLUMNS[0] == "valid_structure" and COLUMNS[-1] == "as_asked"
    # in the table symmetry stands before coverage, which runs earlier
    assert COLUMNS.index("chemical_system") + 1 == COLUMNS.index("near_reference")
    assert FLAGS[0] == "readable" and set(FLAGS[1:]) < set(COLUMNS)


def test_large_figures_and_rates_follow_the_stages():
    assert TILES[:2] == ("valid structure", "valid composition") and TILES[-1] == "S.U.N. (< 0)"
    assert set(TILES) < set(RATES)


def test_a_flag_must_be_a_column():
    with pytest.raises(InputError, match="'spin' is not a column of the stage magnetism"):
        EvaluationStage("magnetism", "module:function", columns=("moment",), flags=("spin",))


def test_the_help_names_every_stage_and_why_one_runs_only_when_asked_for(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help-all"])
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"separated by commas: {', '.join(STAGES)}; default all but prediction" in words
    assert "needs crystals made for the test compositions" in words


def test_the_structures_of_a_reference_are_prepared_by_so_many_workers(
    reference_folder, monkeypatch, tmp_path
):
    """Of a reference that holds no structures itself."""
    from flowllm.evaluation.reference import Reference

    old = tmp_path / "old"
    shutil.copytree(reference_folder, old, ignore=shutil.ignore_patterns("crystals.npz"))
    seen = []
    monkeypatch.setattr("flowllm.data.sources.is_at_hand", lambda *_: True)

    def noted(source, split, workers=None):
        seen.append((split, workers))
        raise LookupError

    monkeypatch.setattr("flowllm.data.load_dataset", noted)
    with pytest.raises(LookupError):
        Reference.load(old).crystals("train", workers=1)
    assert seen == [("train", 1)]

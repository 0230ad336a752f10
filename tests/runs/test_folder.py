"""Folders of runs: the same run goes on, another is refused, nothing foreign is touched."""

import json

import pytest

from flowllm.errors import InputError
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import claim

SETTINGS = {"steps": 50, "seed": 0}


def begin(out, settings=SETTINGS, command="generate", **options) -> RunFolder:
    with RunFolder.open(out, command, settings, **options) as run:
        return run


def test_a_new_folder_is_made_and_described(tmp_path):
    run = begin(tmp_path / "a" / "b")
    record = json.loads((run.path / "run.json").read_text())
    assert record["command"] == "generate" and record["settings"] == SETTINGS
    assert record["status"] == "running" and not run.finished


def test_the_same_run_goes_on_and_keeps_its_files(tmp_path):
    begin(tmp_path)
    (tmp_path / "part-0").write_text("done")
    (tmp_path / ".part-1.123.tmp").write_text("half a part")
    assert not begin(tmp_path).finished
    assert (tmp_path / "part-0").read_text() == "done"
    assert not (tmp_path / ".part-1.123.tmp").exists()


def test_finish_is_remembered(tmp_path):
    with RunFolder.open(tmp_path, "generate", SETTINGS) as run:
        run.finish(crystals=3)
    again = begin(tmp_path)
    assert again.finished and again.record["crystals"] == 3
    assert RunFolder.is_finished(tmp_path, "generate", SETTINGS)
    assert not RunFolder.is_finished(tmp_path, "generate", {**SETTINGS, "seed": 1})


def test_other_settings_are_refused_by_name_and_nothing_changes(tmp_path):
    begin(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(InputError, match=r"steps is 50 there and 100 now.*--overwrite") as caught:
        begin(tmp_path, {"steps": 100, "seed": 0})
    assert "seed" not in str(caught.value)
    with pytest.raises(InputError, match=r"of the command generate, not pair"):
        begin(tmp_path, command="pair")
    with pytest.raises(InputError, match=r"noise is null there and 0.1 now"):
        begin(tmp_path, {**SETTINGS, "noise": 0.1})
    assert (tmp_path / "run.json").read_bytes() == before


def test_overwrite_empties_a_run_and_starts_anew(tmp_path):
    begin(tmp_path)
    (tmp_path / "crystals").mkdir()
    (tmp_path / "crystals" / "0.cif").write_text("old")
    run = begin(tmp_path, {"steps": 100}, overwrite=True)
    assert run.record["settings"] == {"steps": 100}
    assert not (tmp_path / "crystals").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_never_touched(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"flowllm did not write .thesis.tex"):
        begin(tmp_path, overwrite=overwrite)
    (tmp_path / "run.json").write_text('{"jogging": "5 km"}')
    with pytest.raises(InputError, match=r"run.json was not written by flowllm"):
        begin(tmp_path, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"out is a file"):
        begin(tmp_path / "out")
    with pytest.raises(InputError, match=r"a file is where a folder is needed"):
        begin(tmp_path / "out" / "deeper")


def test_a_place_where_nothing_can_be_written():
    with pytest.raises(InputError, match=r"^/proc/flowllm: "):
        begin("/proc/flowllm")


def test_two_at_once_are_refused(tmp_path):
    with (
        RunFolder.open(tmp_path, "generate", SETTINGS),
        pytest.raises(InputError, match=r"another process is working in"),
    ):
        begin(tmp_path)
    assert not begin(tmp_path).finished


def test_a_run_that_came_to_nothing_leaves_nothing(tmp_path):
    run = RunFolder.open(tmp_path / "out", "data", SETTINGS)
    (run.path / "parts").mkdir()
    run.discard()
    assert not (tmp_path / "out").exists()


# ---- the claim of a function that fills a folder -------------------------------------------------


def test_a_direct_caller_gets_a_run_of_its_own(tmp_path):
    out = tmp_path / "out"
    with claim(out, "pairs", SETTINGS) as run:
        (run.path / "chunk").write_text("done")
        with pytest.raises(InputError, match="another process"), claim(out, "pairs", SETTINGS):
            pass
    assert RunFolder.is_finished(out, "pairs", SETTINGS)
    with claim(out, "pairs", SETTINGS) as again:  # goes on, as with more pairs
        assert again.digest == run.digest and (out / "chunk").is_file()
    with (
        pytest.raises(InputError, match="steps is 50 there and 9 now"),
        claim(out, "pairs", {**SETTINGS, "steps": 9}),
    ):
        pass
    with pytest.raises(KeyboardInterrupt), claim(tmp_path / "cut", "pairs", SETTINGS) as run:
        (run.path / "chunk").write_text("done")
        raise KeyboardInterrupt
    assert RunFolder.read(tmp_path / "cut")["status"] == "running"


def test_a_folder_of_a_run_that_is_open_is_not_claimed_again(tmp_path):
    with RunFolder.open(tmp_path / "out", "pair", SETTINGS) as run:
        with claim(run.path / "chunks", "pairs", {}, run) as same:
            assert same is run
        assert not run.finished
        assert [path.name for path in (run.path / "chunks").iterdir()] == []


def test_runs_differ_in_their_digest_by_command_and_settings(tmp_path):
    made = {
        begin(tmp_path / str(n), settings, command).digest
        for n, (settings, command) in enumerate(
            [(SETTINGS, "generate"), (SETTINGS, "pair"), ({**SETTINGS, "seed": 1}, "generate")]
        )
    }
    assert len(made) == 3
    assert begin(tmp_path / "0").digest in made  # the same when it goes on
    assert begin(tmp_path / "0", dict(reversed(SETTINGS.items()))).digest in made

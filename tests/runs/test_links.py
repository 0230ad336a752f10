"""Links in an output folder: none is followed, whatever is behind it stays as it is."""

import os

import pytest

from flowllm.errors import InputError
from flowllm.runs.files import (
    atomic_write,
    first_link,
    open_unlinked,
    remove_leftovers,
    whole_file,
    whole_files,
    whole_folder,
)
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import open_run

SETTINGS = {"seed": 1}


@pytest.fixture
def outside(tmp_path):
    """A file and a folder that no run may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    yield folder / "thesis.tex"
    assert (folder / "thesis.tex").read_text() == "years of work"
    assert os.listdir(folder) == ["thesis.tex"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", [".lock", "run.json"])
def test_a_lock_or_record_that_is_a_link_is_refused(outside, tmp_path, name, overwrite):
    out = tmp_path / "out"
    RunFolder.open(out, "generate", SETTINGS).close()
    (out / name).unlink()
    (out / name).symlink_to(outside)
    with pytest.raises(InputError, match=rf"{name} is a link; links in an output folder"):
        RunFolder.open(out, "generate", SETTINGS, overwrite)


def test_a_lock_that_becomes_a_link_is_not_emptied(outside, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").symlink_to(outside)
    monkeypatch.setattr("flowllm.runs.folder._refuse_links", lambda *_: None)
    with pytest.raises(InputError, match="it is a link"):
        RunFolder.open(tmp_path / "out", "generate", SETTINGS)


@pytest.mark.parametrize("where", ["parts", "parts/000000.npz", "crystals/a/b.cif"])
def test_links_deep_in_a_run_are_refused_and_removed_by_overwrite(outside, tmp_path, where):
    out = tmp_path / "out"
    RunFolder.open(out, "generate", SETTINGS).close()
    (out / where).parent.mkdir(parents=True, exist_ok=True)
    (out / where).symlink_to(outside.parent if where == "parts" else outside)
    with (
        pytest.raises(InputError, match=rf"{where} is a link"),
        open_run(out, "generate", SETTINGS),
    ):
        pytest.fail("it was opened")
    with open_run(out, "generate", SETTINGS, overwrite=True):
        assert first_link(out) is None


def test_the_output_itself_may_lie_behind_links(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to("disk")
    with open_run(tmp_path / "runs" / "a", "generate", SETTINGS) as run:
        atomic_write(run.path / "table.csv", "id\n")
    assert (tmp_path / "disk" / "a" / "table.csv").read_text() == "id\n"


def test_a_loop_of_links_is_one_line(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for out in (tmp_path / "one", tmp_path / "one" / "below"):
        with (
            pytest.raises(InputError, match="one"),
            open_run(out, "generate", SETTINGS, inputs=[tmp_path, tmp_path / "one"]),
        ):
            pytest.fail("it was opened")


def test_names_of_temporary_files_cannot_be_foreseen_and_are_new(outside, tmp_path, monkeypatch):
    target = tmp_path / "table.csv"
    (tmp_path / f".table.csv.{os.getpid()}.tmp").symlink_to(outside)
    atomic_write(target, "id\n")
    assert target.read_text() == "id\n"
    monkeypatch.setattr("flowllm.runs.files.secrets.token_hex", lambda _: "0")
    (tmp_path / ".table.csv.0.tmp").symlink_to(outside)
    with pytest.raises(InputError, match="where a folder is needed"):
        atomic_write(target, "other\n")
    assert target.read_text() == "id\n"


def test_a_result_that_is_a_link_is_replaced_and_not_followed(outside, tmp_path):
    (tmp_path / "table.csv").symlink_to(outside)
    atomic_write(tmp_path / "table.csv", "id\n")
    assert not (tmp_path / "table.csv").is_symlink()
    (tmp_path / "crystals").symlink_to(outside.parent)
    with whole_folder(tmp_path / "crystals") as partial:
        (partial / "a.cif").write_text("a")
    assert [p.name for p in (tmp_path / "crystals").iterdir()] == ["a.cif"]
    (tmp_path / "log.jsonl").symlink_to(outside)
    with pytest.raises(OSError, match=r"log\.jsonl"):
        open_unlinked(tmp_path / "log.jsonl", "a")
    (tmp_path / ".old.tmp").symlink_to(outside)
    (tmp_path / ".old.partial").symlink_to(outside.parent)
    remove_leftovers(tmp_path)
    assert first_link(tmp_path) == tmp_path / "log.jsonl"


def test_a_name_that_just_fits_is_written(tmp_path):
    name = "Å" * 125 + ".json"  # 255 bytes, the most that a file system takes
    with whole_file(tmp_path / name) as file:
        file.write_text("{}")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("context", [whole_folder, whole_files])
def test_a_folder_that_fails_leaves_what_was_there_and_nothing_else(tmp_path, context):
    target = tmp_path / "model"
    target.mkdir()
    (target / "config.json").write_text("old")
    with pytest.raises(InputError, match="model: the disk is full"), context(target) as partial:
        (partial / "config.json").write_text("half")
        raise OSError(28, "No space left on device")
    assert [p.name for p in tmp_path.rglob("*")] == ["model", "config.json"]
    assert (target / "config.json").read_text() == "old"
    with context(target) as partial:
        (partial / "config.json").write_text("new")
        (partial / "weights").write_text("w")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["config.json", "model", "weights"]
    assert (target / "config.json").read_text() == "new"

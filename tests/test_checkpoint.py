"""Weights, atomic files and folders of runs, also when things go wrong."""

import errno
import json
import os

import pytest
import torch

from flowllm.checkpoint import (
    RunFolder,
    atomic_write,
    friendly_os_errors,
    load_weights,
    save_weights,
)
from flowllm.errors import InputError

# ---- weights


@pytest.fixture
def state() -> dict:
    torch.manual_seed(0)
    shared = torch.randn(3, 4)
    return {"a": shared, "tied": shared, "steps": torch.tensor([7]), "view": shared.T}


def test_weights_come_back_exactly(tmp_path, state):
    save_weights(tmp_path / "new" / "folder", state, {"hidden": 4})
    back, config = load_weights(tmp_path / "new" / "folder")
    assert config == {"hidden": 4}
    assert set(back) == set(state)
    for name, tensor in state.items():
        assert back[name].dtype == tensor.dtype and torch.equal(back[name], tensor)


def test_half_precision_halves_the_file_and_keeps_three_digits(tmp_path):
    state = {"w": torch.randn(100, 100), "count": torch.tensor([100000])}
    save_weights(tmp_path / "full", state, {})
    save_weights(tmp_path / "half", state, {}, half=True)
    sizes = [(tmp_path / f / "model.safetensors").stat().st_size for f in ("full", "half")]
    assert sizes[1] < 0.51 * sizes[0] + 200
    back, _ = load_weights(tmp_path / "half")
    assert back["w"].dtype == torch.float32
    assert torch.allclose(back["w"], state["w"], rtol=1e-3, atol=1e-6)
    assert back["count"].item() == 100000


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no weights folder at .*nowhere"):
        load_weights(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no config.json"):
        load_weights(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds no model.safetensors"):
        load_weights(tmp_path)


def test_corrupt_weights_are_named(tmp_path, state):
    save_weights(tmp_path, state, {})
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"model.safetensors is corrupt"):
        load_weights(tmp_path)
    file.write_bytes(b"")
    with pytest.raises(InputError, match=r"model.safetensors is corrupt"):
        load_weights(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config.json is not readable JSON"):
        load_weights(tmp_path)


# ---- files


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "a.txt"
    atomic_write(file, "old")

    def fail(handle):
        handle.write(b"half of the n")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"a.txt: the disk is full"):
        atomic_write(file, fail)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_text_bytes_and_functions_are_written(tmp_path):
    atomic_write(tmp_path / "a", "Å")
    atomic_write(tmp_path / "b", b"\x00\x01")
    atomic_write(tmp_path / "c", lambda handle: handle.write(b"abc"))
    assert (tmp_path / "a").read_text(encoding="utf-8") == "Å"
    assert (tmp_path / "b").read_bytes() == b"\x00\x01"
    assert (tmp_path / "c").read_bytes() == b"abc"


def test_a_really_full_disk():
    with (
        pytest.raises(InputError, match=r"^out: the disk is full$"),
        friendly_os_errors("out"),
        open("/dev/full", "wb", buffering=0) as handle,
    ):
        handle.write(b"x")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "no permission"),
        (errno.EROFS, "no permission"),
        (errno.ENOTDIR, "a file is in the way"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_errors_of_the_system_become_one_line(number, words):
    with pytest.raises(InputError, match=f"^here: .*{words}"), friendly_os_errors("here"):
        raise OSError(number, os.strerror(number))


# ---- folders of runs

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
    with pytest.raises(InputError, match=r"no run of flowllm wrote .thesis.tex"):
        begin(tmp_path, overwrite=overwrite)
    (tmp_path / "run.json").write_text('{"jogging": "5 km"}')
    with pytest.raises(InputError, match=r"run.json was not written by flowllm"):
        begin(tmp_path, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"out is a file"):
        begin(tmp_path / "out")
    with pytest.raises(InputError, match=r"a file is in the way"):
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

"""Weights and atomic files, also when things go wrong."""

import errno
import os

import pytest
import torch

from flowllm.errors import InputError
from flowllm.runs.files import (
    atomic_write,
    friendly_os_errors,
    load_weights,
    save_weights,
)

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
    with pytest.raises(InputError, match=r"contains no config.json"):
        load_weights(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"contains no model.safetensors"):
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
        (errno.ENOTDIR, "a file is where a folder is needed"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_errors_of_the_system_become_one_line(number, words):
    with pytest.raises(InputError, match=f"^here: .*{words}"), friendly_os_errors("here"):
        raise OSError(number, os.strerror(number))

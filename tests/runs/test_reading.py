"""What stands under a file's name and is none: pipes, devices, sockets and endless files."""

from __future__ import annotations

import os
import socket

import pytest

from flowllm.errors import InputError
from flowllm.inputs import read_inputs
from flowllm.runs.archive import read_archive
from flowllm.runs.files import WEIGHTS, load_weights, read_json, write_json
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import open_run
from flowllm.runs.reading import open_regular, read_whole
from flowllm.stability import convert_hull
from flowllm.text.prompt_file import read_prompts
from flowllm.training.log import read_log


@pytest.fixture(params=["pipe", "device", "socket", "huge", "folder"])
def place(request, tmp_path, monkeypatch):
    """A name of something that must neither be waited for nor read to its end."""
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    name = "x.json"
    if request.param == "pipe":
        os.mkfifo(name)
    elif request.param == "device":
        os.symlink("/dev/zero", name)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(name)
    elif request.param == "folder":
        os.mkdir(name)
    else:
        with open(name, "wb") as handle:
            handle.truncate(5 << 30)
    return tmp_path / name


@pytest.mark.parametrize(
    "read",
    [
        read_json,
        read_prompts,
        convert_hull,
        lambda path: read_archive(path, "is not an archive"),
    ],
    ids=["json", "prompts", "hull", "archive"],
)
def test_what_is_no_file_ends_with_a_line(read, place):
    with pytest.raises(InputError, match=r"x\.json") as caught:
        read(place)
    assert "Errno" not in str(caught.value)


def test_a_log_and_crystals_are_read_as_bounded(place):
    if place.is_dir():
        with pytest.raises(InputError, match="contains no crystals"):
            read_inputs(place)
    else:
        with pytest.raises(InputError, match="cannot be read|is larger than"):
            read_inputs(place)
    with pytest.raises(OSError):
        read_log(place)


def test_a_record_of_a_run_that_is_no_file_is_none(place):
    folder = place.parent / "runs"
    folder.mkdir()
    os.rename(place, folder / "run.json")
    with pytest.raises(InputError, match=r"run\.json"):
        RunFolder.read(folder)


def test_weights_are_looked_at_before_they_are_read(tmp_path):
    write_json(tmp_path / "config.json", {})
    with open(tmp_path / WEIGHTS, "wb") as handle:
        handle.truncate(5 << 30)
    with pytest.raises(InputError, match="corrupt"):
        load_weights(tmp_path)


def test_bounds_count_bytes(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert read_whole(file, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_whole(file, 4)
    with open_regular(file) as handle:
        assert handle.read() == b"12345"


def test_no_name_holds_a_nul(tmp_path):
    for read in (read_json, read_prompts, convert_hull):
        with pytest.raises(InputError, match="NUL"):
            read("a\0b")
    with (
        pytest.raises(InputError, match="NUL"),
        open_run(tmp_path / "a\0b", "generate", {}, inputs=[tmp_path]),
    ):
        pass
    with pytest.raises(InputError, match="NUL"):
        write_json(tmp_path / "a\0b", {})
    assert list(tmp_path.iterdir()) == []

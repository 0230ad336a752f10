"""Parts of a run: finished ones are read, all others are made, whatever lies in the folder."""

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm.runs.archive import read_archive, write_archive
from flowllm.runs.parts import Parts, Wanted

WANTED = [Wanted(f"part-{n}", f"squares {n} of a run") for n in range(4)]


def squares(arrays) -> np.ndarray:
    values = arrays["values"]
    if values.shape != (3,):
        raise InputError(f"squares have the shape (3,), not {values.shape}")
    return values


class Work:
    """Makes the parts and counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, places):
        self.asked.append(places)
        for place in reversed(places):
            yield place, (np.arange(3) + 3 * place) ** 2


def parts_in(folder) -> Parts[np.ndarray]:
    return Parts(folder, lambda values: {"values": values}, squares)


def run(folder, wanted=WANTED) -> tuple[list[int], list[bool]]:
    """The places that are made, and for each part in the order of the yields if it is new."""
    work, found, new = Work(), {}, []
    for place, part, made in parts_in(folder).each(wanted, work):
        found[place] = part
        new.append(made)
    assert np.array_equal(np.concatenate([found[n] for n in range(4)]), np.arange(12) ** 2)
    assert len(work.asked) == 1
    return work.asked[0], new


def test_all_are_made_once_and_read_afterwards(tmp_path):
    assert run(tmp_path / "new" / "parts") == ([0, 1, 2, 3], [True] * 4)
    assert run(tmp_path / "new" / "parts") == ([], [False] * 4)


def test_work_that_stops_keeps_what_was_made(tmp_path):
    def stop(places):
        for place, part in Work()(places):
            if place == 1:
                raise KeyboardInterrupt
            yield place, part

    with pytest.raises(KeyboardInterrupt):
        list(parts_in(tmp_path).each(WANTED, stop))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-2.npz", "part-3.npz"]
    assert run(tmp_path) == ([0, 1], [False, False, True, True])


def damages(folder):
    """Name -> what is done to the file of the third part."""
    file, other = folder / "part-2.npz", folder / "part-1.npz"
    whole = file.read_bytes()
    arrays = read_archive(file, "is not a part")
    flags = bytearray(whole)
    flags[whole.rindex(b"PK\x01\x02") + 8] ^= 0x01  # "encrypted", which zipfile does not read
    return {
        "cut": lambda: file.write_bytes(whole[: len(whole) // 2]),
        "cut at the end": lambda: file.write_bytes(whole[:-1]),
        "empty": lambda: file.write_bytes(b""),
        "no archive": lambda: file.write_bytes(b"PK nothing"),
        "changed": lambda: file.write_bytes(bytes(flags)),
        "of other items": lambda: file.write_bytes(other.read_bytes()),
        "of another run": lambda: write_archive(
            file, {**arrays, "part_of": np.array("squares 2 of another run")}
        ),
        "without a name": lambda: write_archive(file, {"values": arrays["values"]}),
        "of another kind": lambda: write_archive(file, {**arrays, "values": np.zeros(5)}),
        "without an array": lambda: write_archive(file, {"part_of": arrays["part_of"]}),
    }


@pytest.mark.parametrize(
    "damage",
    [
        "cut", "cut at the end", "empty", "no archive", "changed", "of other items",
        "of another run", "without a name", "of another kind", "without an array",
    ],
)  # fmt: skip
def test_a_part_that_is_not_whole_or_not_this_one_is_made_again(tmp_path, damage):
    run(tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    damages(tmp_path)[damage]()
    assert run(tmp_path) == ([2], [False, False, False, True])
    for path in tmp_path.iterdir():
        assert (path.stat().st_mtime_ns == times[path.name]) == (path.name != "part-2.npz")
    assert run(tmp_path)[0] == []


def test_one_part_is_read_or_made(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return np.arange(3)

    for _ in range(2):
        assert parts_in(tmp_path).get(WANTED[0], make).tolist() == [0, 1, 2]
    assert calls == [1]


def test_writes_that_were_killed_leave_nothing(tmp_path):
    (tmp_path / ".part-1.npz.77.tmp").write_bytes(b"half a part")
    run(tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "parts").write_text("a file")
    with pytest.raises(InputError, match="parts: a file is where a folder is needed"):
        parts_in(tmp_path / "parts")

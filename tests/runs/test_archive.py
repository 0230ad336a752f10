"""Archives of arrays: whatever is done to a file, it reads as it was written or is refused."""

import errno
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm.runs.archive import open_archive, read_archive, write_archive

ARRAYS = {"types": np.arange(5), "names": np.array(["Si", "Å"]), "coords": np.ones((2, 3)) / 3}


@pytest.fixture
def file(tmp_path):
    write_archive(tmp_path / "a.npz", ARRAYS)
    return tmp_path / "a.npz"


def test_arrays_come_back_and_equal_ones_give_equal_files(file, tmp_path):
    found = read_archive(file, "is none")
    assert list(found) == list(ARRAYS)
    for name, values in ARRAYS.items():
        assert found[name].dtype == values.dtype and np.array_equal(found[name], values)
    write_archive(str(tmp_path / "b"), ARRAYS)  # the suffix is added, as numpy does
    assert (tmp_path / "b.npz").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("compressed", [True, False])
def test_every_changed_byte_is_seen_or_does_no_harm(tmp_path, compressed):
    file = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(file, **ARRAYS)
    content = file.read_bytes()
    refused = 0
    for place in range(len(content)):
        for mask in (0x01, 0x04, 0x06, 0x40, 0xFF):
            changed = bytearray(content)
            changed[place] ^= mask
            file.write_bytes(changed)
            try:
                with open_archive(file, "is damaged") as archive:
                    found = {name: archive[name] for name in ARRAYS}
            except InputError as error:
                assert str(error).startswith(f"{file} is damaged: ")
                refused += 1
            else:
                assert all(np.array_equal(found[name], values) for name, values in ARRAYS.items())
    assert refused > 2 * len(content)


def test_every_cut_is_refused(file):
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"a\.npz is damaged: "):
            read_archive(file, "is damaged")


def test_what_is_no_archive_is_named(file, tmp_path):
    with pytest.raises(InputError, match=r"^no such file: .*none\.npz$"):
        read_archive(tmp_path / "none.npz", "is none")
    np.save(tmp_path / "single.npy", np.arange(3))
    with pytest.raises(InputError, match=r"single\.npy is none: it holds a single array"):
        read_archive(tmp_path / "single.npy", "is none")
    np.savez(tmp_path / "pickled.npz", a=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"pickled\.npz is none: Object arrays cannot be loaded"):
        read_archive(tmp_path / "pickled.npz", "is none")
    with (
        pytest.raises(InputError, match=r"a\.npz contains no pairs: .*lengths"),
        open_archive(file, "contains no pairs") as archive,
    ):
        archive["lengths"]


def test_a_full_disk_leaves_the_old_archive(file, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"a\.npz: the disk is full"):
        write_archive(file, {"types": np.zeros(9)})
    assert np.array_equal(read_archive(file, "is none")["types"], ARRAYS["types"])
    assert os.listdir(file.parent) == ["a.npz"]


# ---- archives that promise what they do not hold -------------------------------------------------


def member(shape, descr="<f8", data=b"\0" * 24, version=(1, 0)):
    """The bytes of an array whose header says what it likes."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = len(header).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + length + header + data


@pytest.mark.parametrize(
    "content",
    [
        member("(1000000000000,)"),
        member("(10000000000000000000000000000,)"),
        member("(9223372036854775807, 9223372036854775807)"),
        member("(4294967296, 4294967296, 4294967296)", data=b""),
        member("(-3,)"),
        member("(2,)"),
        member("(4,)"),
        member("()", "<U2000000000"),
        member("(" * 3000 + ")" * 3000),
        member("(3,)", "|V8"),
        member("(3,)", version=(3, 0)),
        member("(3,)", version=(9, 9)),
        b"",
        b"no array",
    ],
    ids=lambda content: str(content[:80]),
)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_an_array_promises_is_compared_with_what_is_there(tmp_path, content, compression):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("coords.npy", content)
        archive.writestr("types.npy", member("(3,)"))
    tracemalloc.start()
    try:
        with (
            pytest.raises(InputError, match=r"a\.npz is none: "),
            open_archive(tmp_path / "a.npz", "is none") as archive,
        ):
            assert archive["types"].shape == (3,)
            archive["coords"]
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("flowllm.runs.archive.MOST", 10**6)
    np.savez_compressed(tmp_path / "a.npz", coords=np.zeros(10**7))
    with pytest.raises(InputError, match=r"coords declares 8e\+07 bytes"):
        read_archive(tmp_path / "a.npz", "is none")


def test_an_encrypted_archive_is_named(file):
    content = bytearray(file.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags of every member
        start = content.find(mark)
        while start >= 0:
            content[start + place] |= 1
            start = content.find(mark, start + 1)
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz is none: types is encrypted"):
        read_archive(file, "is none")


@pytest.mark.parametrize(
    ("array", "columns"),
    [
        (np.zeros((3, 6)), None),
        (np.zeros(3), 6),
        (np.zeros((3, 5)), 6),
        (np.array(1.0), None),
        (np.array(["1", "2"]), None),
        (np.arange(3), None),
    ],
)
def test_another_type_or_shape_is_refused_before_values_are_read(tmp_path, array, columns):
    write_archive(tmp_path / "a.npz", {"x": array})
    with (
        pytest.raises(InputError, match="x holds values of another type or shape"),
        open_archive(tmp_path / "a.npz") as archive,
    ):
        archive.typed("x", "f", columns)


def test_an_array_of_the_right_type_and_shape_is_read(tmp_path):
    write_archive(tmp_path / "a.npz", {"x": np.ones((3, 6)), "y": np.arange(3)})
    with open_archive(tmp_path / "a.npz") as archive:
        assert archive.typed("x", "f", 6).sum() == 18
        assert archive.typed("y", "iu").tolist() == [0, 1, 2]
    with (
        pytest.raises(InputError, match="z is missing"),
        open_archive(tmp_path / "a.npz") as archive,
    ):
        archive.typed("z", "f")

"""Archives of arrays (`.npz`): written atomically, and validated on reading."""

from __future__ import annotations

import io
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from flowllm.errors import InputError, first_line
from flowllm.runs.files import atomic_write
from flowllm.runs.reading import open_regular

ARCHIVE_ERRORS = (
    OSError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    RuntimeError,  # zipfile: a flag or a compression method that it does not know
    MemoryError,  # a header that promises more values than there can be
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ArithmeticError,  # a shape beyond 64 bits
    RecursionError,  # a header or JSON that is nested too deeply
)
"""What numpy and zipfile raise for a cut, changed or foreign file, and what reading it raises."""


MOST, PER_BYTE = 2**30, 64
"""Bytes of memory that an array may take, whatever its file; and for each byte of the file."""


class Archive(Mapping[str, np.ndarray]):
    """The arrays of an `.npz` by name; each is checked before memory is allocated.

    Args:
        archive: open, without pickles.
        size: of the file in bytes.

    Attributes:
        files: the names.
    """

    def __init__(self, archive: NpzFile, size: int) -> None:
        self.files: list[str] = list(archive.files)
        self._archive, self._size = archive, size

    def __getitem__(self, name: str) -> np.ndarray:
        """An array.

        Raises:
            KeyError: there is none of that name.
            InputError: it is encrypted, or promises other or more values than the file can hold.
        """
        if name in self.files:
            self._check(name)
        found: np.ndarray = self._archive[name]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def typed(self, name: str, kinds: str, columns: int | None = None) -> np.ndarray:
        """An array whose dtype and shape are checked before its values are read.

        Args:
            name: of the array.
            kinds: kinds of its values, as `numpy.dtype.kind` has them: "f", "iu".
            columns: of a table; None for a row of values.

        Raises:
            KeyError: there is none of that name.
            InputError: it is of another type or shape, or as for `archive[name]`.
        """
        if name not in self.files:
            raise KeyError(name)
        shape, dtype = self._check(name)
        if dtype.kind not in kinds or not shape or shape[1:] != (columns,) * (columns is not None):
            raise InputError(f"{name} holds values of another type or shape ({dtype}, {shape})")
        return self[name]

    def _check(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Check an array's header against its size in the archive.

        Returns:
            Its shape and the type of its values.
        """
        archive = self._archive.zip
        assert archive is not None
        member = name if name in archive.namelist() else f"{name}.npy"
        about = archive.getinfo(member)
        if about.flag_bits & 0x1:
            raise InputError(f"{name} is encrypted")
        if about.file_size > MOST + PER_BYTE * self._size:
            raise InputError(f"{name} declares {about.file_size:.3g} bytes")
        with archive.open(member) as handle:
            version = np.lib.format.read_magic(handle)
            read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
            if version[0] not in read:  # of structured arrays, which are none of ours
                raise InputError(f"{name} has an unsupported type")
            shape, _, dtype = read[version[0]](handle)
            if dtype.kind not in "biufcSUO":
                raise InputError(f"{name} has an unsupported type")
            promised = math.prod(shape) * dtype.itemsize
            if not dtype.hasobject and (
                min(shape, default=0) < 0 or promised != about.file_size - handle.tell()
            ):
                raise InputError(
                    f"{name} declares {promised:.3g} bytes, but contains a different number"
                )
        return shape, dtype


@contextmanager
def open_archive(
    path: str | Path | io.BytesIO, otherwise: str = "is not an archive of arrays"
) -> Iterator[Archive]:
    """An open `.npz` without pickles; any error while reading becomes one message.

    Args:
        path: the file, or its content.
        otherwise: what the message says of a file that cannot be read, after its path.

    Raises:
        InputError: no such file; it is damaged or no archive; or the context raises one of
            `ARCHIVE_ERRORS`, as for an array that is missing.
    """
    try:
        with path if isinstance(path, io.BytesIO) else open_regular(path) as content:
            archive = np.load(content, allow_pickle=False)
            if not isinstance(archive, NpzFile):
                raise InputError("it holds a single array")
            with archive:
                yield Archive(archive, _size(path))
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except ARCHIVE_ERRORS as error:
        raise InputError(f"{path} {otherwise}: {first_line(error)}") from error


def _size(source: str | Path | io.BytesIO) -> int:
    """Bytes of a file, or of its content."""
    if isinstance(source, io.BytesIO):
        return source.getbuffer().nbytes
    return Path(source).stat().st_size


def read_archive(path: str | Path, otherwise: str) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` by name, in memory, with checksums verified.

    Raises:
        InputError: as `open_archive`.
    """
    with open_archive(path, otherwise) as archive:
        return {name: archive[name] for name in archive.files}


def write_archive(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write a compressed `.npz` atomically; the same arrays give the same bytes.

    Args:
        path: the file; ".npz" is added where it is missing, as `numpy.savez` does.
        arrays: name -> array without Python objects.

    Raises:
        InputError: the operating system refuses.
    """
    target = Path(path)
    if target.suffix != ".npz":
        target = target.with_name(f"{target.name}.npz")
    # in memory first: zipfile would try once more to write to a disk that is full
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    atomic_write(target, buffer.getvalue())

"""Archives of arrays (`.npz`): written whole, and read with one answer to everything broken."""

from __future__ import annotations

import io
import lzma
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
)
"""What numpy and zipfile raise for a cut, changed or foreign file, and what reading it raises."""


@contextmanager
def open_archive(
    path: str | Path, otherwise: str = "is not an archive of arrays"
) -> Iterator[NpzFile]:
    """An open `.npz` without pickles; what goes wrong while it is read becomes one message.

    Args:
        path: the file.
        otherwise: what the message says of a file that cannot be read, after its path.

    Raises:
        InputError: no such file; it is damaged or no archive; or the context raises one of
            `ARCHIVE_ERRORS`, as for an array that is missing.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise InputError("it holds a single array")
        with archive:
            yield archive
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except ARCHIVE_ERRORS as error:
        raise InputError(f"{path} {otherwise}: {first_line(error)}") from error


def read_archive(path: str | Path, otherwise: str) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` by name, in memory; every one has passed its checksum.

    Raises:
        InputError: as `open_archive`.
    """
    with open_archive(path, otherwise) as archive:
        return {name: archive[name] for name in archive.files}


def write_archive(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write a compressed `.npz` whole or not at all; the same arrays give the same bytes.

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

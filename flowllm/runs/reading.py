"""Reading files: regular ones of bounded size only, so that none can stall a command.

A pipe that nobody fills, a device that never ends or a sparse file of terabytes may stand under any
name. `OSError` with a message of ours says so, which every reader of a kind of file words anew.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

MOST = 1 << 28
"""Bytes of a file of ours that is read at once, such as JSON; none comes near it."""
NO_NAME = "a file name cannot contain a NUL byte"
_PLAIN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""A pipe opens at once; Windows has none, but changes line ends without the second."""


def open_regular(path: str | Path, most: int | None = None) -> IO[bytes]:
    """Open a regular file for reading without blocking; refuse anything else.

    Args:
        path: the file; links are followed.
        most: bytes that it may have.

    Raises:
        OSError: there is no such file, the system refuses, or it is not a file or too large.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _PLAIN)
    except ValueError:
        raise OSError(errno.EINVAL, NO_NAME, str(path)) from None
    try:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        if most is not None and about.st_size > most:
            raise too_large(path, most)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_whole(path: str | Path, most: int = MOST) -> bytes:
    """The content of a file.

    Args:
        path: the file; links are followed.
        most: bytes that it may have.

    Raises:
        OSError: as `open_regular`; files of the system that tell no size count by their content.
    """
    with open_regular(path, most) as handle:
        content = handle.read(most + 1)
    if len(content) > most:
        raise too_large(path, most)
    return content


def too_large(path: str | Path, most: int) -> OSError:
    """The error for a file above the size limit."""
    return OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))

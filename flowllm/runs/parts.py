"""Results made in parts: finished parts stay on disk and the work resumes from them.

Every command that may run for hours keeps its finished parts this way. A part is an archive of
arrays that also records what it is a part of; one that is missing, damaged or of something else is
made again, so no state of the folder stops the work or changes its result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from flowllm.runs.archive import ARCHIVE_ERRORS, read_archive, write_archive
from flowllm.runs.files import friendly_os_errors, remove_leftovers

P = TypeVar("P")
PART_OF = "part_of"  # the array that records what a part is of


class Wanted(NamedTuple):
    """A part that is needed.

    Attributes:
        name: of its file, without ".npz".
        of: text that names its content: which items, of what; a file that records another text is
            not this part.
    """

    name: str
    of: str


class Parts(Generic[P]):
    """A folder of parts of one kind.

    Args:
        folder: where they are kept; made if need be, and cleared of writes that were killed.
        to_arrays: a part as arrays by name.
        from_arrays: the part out of these arrays; it may raise `ARCHIVE_ERRORS`, as `InputError`,
            for arrays that are none of its kind.

    Raises:
        InputError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        to_arrays: Callable[[P], Mapping[str, Any]],
        from_arrays: Callable[[Mapping[str, np.ndarray]], P],
    ) -> None:
        self.folder, self.to_arrays, self.from_arrays = folder, to_arrays, from_arrays
        with friendly_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)

    def path(self, name: str) -> Path:
        """The file of a part."""
        return self.folder / f"{name}.npz"

    def read(self, wanted: Wanted) -> P | None:
        """A finished part; None if it must be made or remade."""
        try:
            arrays = read_archive(self.path(wanted.name), "is not a part")
            if str(arrays.pop(PART_OF)) != wanted.of:
                return None
            return self.from_arrays(arrays)
        except ARCHIVE_ERRORS:
            return None

    def write(self, wanted: Wanted, part: P) -> None:
        """Save a part.

        Raises:
            InputError: the operating system refuses.
        """
        arrays = {**self.to_arrays(part), PART_OF: np.array(wanted.of)}
        write_archive(self.path(wanted.name), arrays)

    def get(self, wanted: Wanted, make: Callable[[], P]) -> P:
        """A part, read from disk or made and saved."""
        part = self.read(wanted)
        if part is None:
            part = make()
            self.write(wanted, part)
        return part

    def each(
        self,
        wanted: Sequence[Wanted],
        make: Callable[[list[int]], Iterable[tuple[int, P]]],
    ) -> Iterator[tuple[int, P, bool]]:
        """Every part once: first those on disk, then the others, each saved as soon as it is made.

        Args:
            wanted: the parts.
            make: yields (position in `wanted`, part) for the positions that it gets, in any order;
                called once, perhaps with none.

        Yields:
            Position in `wanted`, the part, and whether it was made just now.
        """
        missing = []
        for place, one in enumerate(wanted):
            part = self.read(one)
            if part is None:
                missing.append(place)
            else:
                yield place, part, False
        for place, part in make(missing):
            self.write(wanted[place], part)
            yield place, part, True

"""Files as text: folder contents, file kinds, gzip and encodings."""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath

from flowllm.errors import InputError, first_line
from flowllm.inputs.limits import ReadLimits
from flowllm.runs.reading import read_whole

READ = (
    "CIF (.cif, .mcif), POSCAR and CONTCAR (.vasp, .poscar), extended XYZ (.xyz, .extxyz), "
    "JSON of pymatgen or ASE (.json), tables with a column cif (.csv, .tsv), arrays (.npz), "
    "all of these gzipped, and runs of flowllm generate and refine"
)
"""What can be read, for messages."""

SUFFIXES = {
    ".cif": "cif", ".mcif": "cif", ".xyz": "xyz", ".extxyz": "xyz", ".vasp": "poscar",
    ".poscar": "poscar", ".contcar": "poscar", ".json": "json", ".jsonl": "json",
    ".csv": "table", ".tsv": "table", ".npz": "npz",
}  # fmt: skip
"""End of a file's name -> its kind."""

_POSCAR = re.compile(r"(POSCAR|CONTCAR)([._-].*)?|.*[._-](POSCAR|CONTCAR)", re.IGNORECASE)
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip


def kind_of_name(path: PurePath) -> str | None:
    """The file kind by name; None if unknown."""
    name = without_gzip(path.name)
    suffix = PurePath(name).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    return "poscar" if _POSCAR.fullmatch(name) else None


def kind_of_text(text: str) -> str | None:
    """The kind of one crystal's text, by its content; None if unknown."""
    start = text[:20_000].lstrip()
    if start[:1] in ("{", "["):
        return "json"
    if re.search(r"^[ \t]*(data_|loop_|_cell_length_)", text, re.MULTILINE | re.IGNORECASE):
        return "cif"
    lines = start.splitlines()[:6]
    if len(lines) > 1 and re.fullmatch(r"\s*[0-9]{1,12}\s*", lines[0]):
        return "xyz"
    numbers = [len(re.findall(r"[-+.\d]\S*", line)) for line in lines]
    return "poscar" if numbers[1:2] in ([1], [3]) and numbers[2:5] == [3, 3, 3] else None


def stem_of(path: PurePath) -> str:
    """The path without its kind suffix, as printable text."""
    name = without_gzip(path.as_posix())
    suffix = PurePath(name).suffix
    plain = name[: -len(suffix)] if suffix.lower() in SUFFIXES else name
    return printable(plain)


def printable(name: str) -> str:
    """A file's name without bytes that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def without_gzip(name: str) -> str:
    """A name without `.gz` at its end."""
    return name[:-3] if name.lower().endswith(".gz") else name


def read_bytes(path: Path, limits: ReadLimits) -> bytes:
    """The content of a file, gzipped or not.

    Raises:
        InputError: it cannot be read, is not a regular file, or is larger than allowed.
    """
    try:
        content = read_whole(path, limits.file_bytes)
        if content[:2] == _GZIP:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(limits.file_bytes + 1)
        elif path.suffix.lower() == ".gz":
            raise InputError(f"{path} cannot be read: it is not a gzip file")
    except FileNotFoundError:
        if os.path.islink(path):
            raise InputError(f"{path} cannot be read: its link target is missing") from None
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise InputError(f"{path} is larger than {limits.file_bytes:,} bytes") from None
        why = error.strerror or first_line(error)
        raise InputError(f"{path} cannot be read: {why}") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error
    if len(content) > limits.file_bytes:
        raise InputError(f"{path} is larger than {limits.file_bytes:,} bytes")
    return content


def is_zip(content: bytes) -> bool:
    """Whether bytes are a zip archive, as `.npz` is."""
    return content[:4] == _ZIP


def decode(content: bytes, name: str | Path) -> tuple[str, tuple[str, ...]]:
    """The text of a file with plain line ends, and remarks on it.

    UTF-8 and UTF-16 are recognised, with and without a byte order mark. A NUL or ^Z at the end, as
    old programs leave there, does not matter.

    Raises:
        InputError: it is not text.
    """
    encoding = next((name for mark, name in _BOMS if content.startswith(mark)), None)
    if encoding is None and len(content) > 3 and 0 in content[:4]:
        encoding = {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get(
            (content[0] == 0, content[1] == 0)
        )
    remarks: tuple[str, ...] = ()
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        if encoding is not None:
            raise InputError(f"{name} is not UTF-8 text") from None
        text = content.decode("latin-1")
        remarks = ("not UTF-8 text: read as Latin-1",)
    end = text.rstrip("\x00\x1a")
    if "\x00" in end:
        raise InputError(f"{name} is not UTF-8 text: it holds a NUL byte")
    return end.replace("\r\n", "\n").replace("\r", "\n"), remarks


def files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """All visible files below a folder and its folders, sorted; link loops are cut.

    Links to missing files are among the files.

    Raises:
        InputError: the folder cannot be listed.
    """
    files, folders, seen = [], [], set[tuple[int, int]]()

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}")

    for place, names, found in os.walk(folder, onerror=fail, followlinks=True):
        about = os.stat(place)
        if (about.st_dev, about.st_ino) in seen:
            names.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        names[:] = sorted(n for n in names if not n.startswith(".") and n != "__MACOSX")
        folders.append(Path(place))
        paths = (Path(place) / n for n in found if not n.startswith("."))
        files += [p for p in paths if os.path.isfile(p) or not os.path.exists(p)]
    return sorted(files), sorted(folders)


def counted_suffixes(files: Iterable[PurePath]) -> str:
    """Files by the ends of their names, as in "3 × .txt, 1 × README"."""
    kinds = Counter(PurePath(file.name).suffix.lower() or file.name for file in files)
    shown = [f"{count} × {printable(kind)}" for kind, count in kinds.most_common(6)]
    rest = sum(kinds.values()) - sum(count for _, count in kinds.most_common(6))
    return ", ".join(shown + ([f"{rest} others"] if rest else []))

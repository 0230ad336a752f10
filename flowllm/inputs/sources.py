"""Paths as lists of crystals: files of any kind, folders of them, flowllm runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

from flowllm.errors import InputError
from flowllm.inputs.arrays import holds_crystals, npz_listing
from flowllm.inputs.cif import cif_items
from flowllm.inputs.files import (
    READ,
    counted_suffixes,
    decode,
    files_below,
    is_zip,
    kind_of_name,
    kind_of_text,
    printable,
    read_bytes,
    stem_of,
)
from flowllm.inputs.items import Item, Listing, joined
from flowllm.inputs.json_rows import json_items
from flowllm.inputs.limits import DEFAULT_LIMITS, ReadLimits
from flowllm.inputs.poscar import poscar_items
from flowllm.inputs.runs import is_run, run_listing
from flowllm.inputs.tables import names_crystals, table_listing
from flowllm.inputs.xyz import xyz_items


def list_source(source: str | Path, limits: ReadLimits = DEFAULT_LIMITS) -> Listing:
    """The crystals of a file, a folder or a run, before their texts are parsed.

    Args:
        source: the path.
        limits: of time and size.

    Raises:
        InputError: there is no such path, or it holds nothing that can be read.
    """
    path = Path(source)
    if path.is_dir():
        return _list_folder(path, limits)
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    found = _list_file(path, limits, stem_of(PurePath(path.name)))
    assert found is not None
    found.hashes = [(_below(path.parent, name), content) for name, content in found.hashes]
    return found


def list_sources(sources: Sequence[str | Path], limits: ReadLimits = DEFAULT_LIMITS) -> Listing:
    """The crystals of several paths.

    Raises:
        InputError: none is given, or some cannot be read; all of these are named.
    """
    if not sources:
        raise InputError("no crystal file is given")
    parts, faults = [], []
    for source in sources:
        try:
            found = list_source(source, limits)
            found.hashes = [(f"{source}: {name}", content) for name, content in found.hashes]
            parts.append(found.named(stem_of(PurePath(Path(source).name))))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("; ".join(faults))
    return joined(parts)


def _list_folder(folder: Path, limits: ReadLimits) -> Listing:
    if is_run(folder):
        return run_listing(folder, lambda inner: _list_folder(inner, limits))
    files, folders = files_below(folder)
    for inner in folders:
        if inner != folder and is_run(inner):
            raise InputError(f"{folder} holds the run {inner.relative_to(folder)}; give that one")
    gone = [file for file in files if not file.exists()]
    files = [file for file in files if file.exists()]
    wanted = [file for file in files if kind_of_name(file) is not None]
    stems = [stem_of(file.relative_to(folder)) for file in wanted]
    others = [file for file in files if kind_of_name(file) is None]
    used = Counter(stems)
    through_tables, parts = set[Path](), list[tuple[Path, Listing]]()
    for file, stem in zip(wanted, stems, strict=True):
        name = stem if used[stem] == 1 else printable(file.relative_to(folder).as_posix())
        found: Listing | None
        try:
            found = _list_file(file, limits, name, inside=True)
        except InputError as error:
            reason = _without_path(error, file)
            found = Listing([Item(name, printable(str(file)), reason=reason)])
        if found is None:
            others.append(file)
            continue
        through_tables |= {Path(path) for path, _ in found.hashes[1:]}
        parts.append((file, found.named(name)))
    kept = [found for file, found in parts if file not in through_tables]
    if not kept:
        held = counted_suffixes(others) or "no files"
        raise InputError(f"{folder} contains no crystals (it holds {held}); supported are {READ}")
    whole = joined(kept)
    for file, found in parts:
        whole.hashes += found.hashes if file in through_tables else []
    whole.hashes = sorted({_below(folder, path): h for path, h in whole.hashes}.items())
    if others:
        whole.notes.append(f"not read, of other kinds: {counted_suffixes(others)}")
    if gone:
        first = printable(gone[0].relative_to(folder).as_posix())
        whole.notes.append(f"not read, links to missing files: {len(gone)}, as {first}")
    return whole


def _below(folder: Path, path: str) -> str:
    inner = Path(path)
    return inner.relative_to(folder).as_posix() if inner.is_relative_to(folder) else path


def _without_path(error: InputError, file: Path) -> str:
    """A message about a file as the reason of its row."""
    return str(error).removeprefix(str(file)).lstrip(": ")


def _list_file(path: Path, limits: ReadLimits, name: str, inside: bool = False) -> Listing | None:
    """The crystals of a file; None for one in a folder that turns out to be of another kind."""
    hashes: list[tuple[str, str]] = []

    def load(file: Path) -> bytes:
        content = read_bytes(file, limits)
        hashes.append((str(file), hashlib.sha256(content).hexdigest()))
        return content

    def of_row(file: Path) -> list[Item]:
        kind = kind_of_name(file)
        if kind in ("table", "npz"):
            raise InputError(f"{file} is not a file of a single crystal")
        text, remarks = decode(load(file), file)
        kind = kind or kind_of_text(text)
        return _text_items(
            kind, text, stem_of(file.relative_to(file.parent)), file, remarks, limits
        )

    content, kind = load(path), kind_of_name(path)
    if kind == "npz" or (kind is None and is_zip(content)):
        if inside and is_zip(content) and not holds_crystals(content):
            return None
        found = npz_listing(path, content)
    else:
        text, remarks = decode(content, path)
        kind = kind or _kind_of_content(text)
        if inside and _is_other(kind, text):
            return None
        if kind == "table":
            found = table_listing(text, path, limits, of_row)
            found.notes += remarks
        else:
            found = Listing(_text_items(kind, text, name, path, remarks, limits))
    found.hashes = hashes
    return found


def _kind_of_content(text: str) -> str | None:
    """The kind of a text by its content; table cells may contain CIF texts."""
    kind = kind_of_text(text)
    return "table" if kind in (None, "cif") and names_crystals(text) else kind


def _text_items(
    kind: str | None, text: str, name: str, path: Path, remarks: tuple[str, ...], limits: ReadLimits
) -> list[Item]:
    """The crystals of a text of any kind but a table."""
    place = printable(str(path))
    if kind == "cif":
        return cif_items(text, name, place, remarks)
    if kind == "poscar":
        return poscar_items(text, name, place, remarks)
    if kind == "xyz":
        return xyz_items(text, place, limits.atoms, remarks)
    if kind == "json":
        try:
            return json_items(text, name, place, limits.atoms)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
    raise InputError(f"{place} is not of a supported kind; supported are {READ}")


def _is_other(kind: str | None, text: str) -> bool:
    """Whether a table or JSON text in a folder of crystals is unrelated."""
    if kind == "table":
        return not names_crystals(text)
    marks = ('"sites"', '"positions"', "_cell_length_a")
    return kind == "json" and not any(mark in text for mark in marks)

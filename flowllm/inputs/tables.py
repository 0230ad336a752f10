"""Tables with CIF texts, JSON structures or file paths in a column, with any separator."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowllm.errors import InputError
from flowllm.inputs.files import decode, kind_of_name, kind_of_text, read_bytes
from flowllm.inputs.items import Item, Listing
from flowllm.inputs.limits import DEFAULT_LIMITS, ReadLimits, shown
from flowllm.runs.texts import unguarded

ID_COLUMNS = ("material_id", "id")
CRYSTAL_COLUMNS = ("cif", "structure")
SEPARATORS = ",;\t|"
SPREADSHEET_CELL = 32_767  # characters, at which spreadsheets cut
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_CIF_LINE = ("_cell_length_", "_cell_angle_")  # begins a line of a CIF, never a table's cell
_PATH = 1_000  # characters; a longer cell is not a path


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        columns: name in small letters -> R cells.
        faults: row -> what is wrong with its number of cells.
        ambiguous: name -> message, for names that differ in case only.
    """

    columns: dict[str, list[str]]
    faults: dict[int, str] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def column(self, name: str) -> list[str]:
        """The cells of a column.

        Raises:
            InputError: two columns have this name.
        """
        if name in self.ambiguous:
            raise InputError(self.ambiguous[name])
        return self.columns[name]


def table_of(path: Path, limits: ReadLimits = DEFAULT_LIMITS) -> dict[str, list[str]]:
    """The columns of a table file as text, names in lower case.

    Raises:
        InputError: it is not a table.
    """
    text, _ = decode(read_bytes(path, limits), path)
    return read_table(text, path, limits).columns


def read_table(text: str, path: Path, limits: ReadLimits = DEFAULT_LIMITS) -> Table:
    """A table of cells separated by commas, semicolons, tabs or bars.

    Raises:
        InputError: it is empty, has too many columns, or a quotation mark is not closed.
    """
    text = text.lstrip("\n")
    if not text.strip():
        raise InputError(f"{path} is empty")
    first, _, rest = text.partition("\n")
    separator = None
    if re.fullmatch("sep=.", first.strip("\"'"), re.IGNORECASE):  # a spreadsheet's own line
        separator, text = first.strip("\"'")[4], rest
        first = text.partition("\n")[0]
    separator = separator or _separator(first)
    if first.count(separator) >= limits.columns:
        raise InputError(f"{path} has more than {limits.columns} columns")
    csv.field_size_limit(max(csv.field_size_limit(), limits.file_bytes))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        rows = [row for row in reader if row]
    except csv.Error:
        raise InputError(
            f"{path} is not a readable CSV file: a quotation mark is not closed, or stands in "
            f"the middle of a cell, in the row that ends in line {reader.line_num}"
        ) from None
    width, faults = len(header), dict[int, str]()
    for place, row in enumerate(rows):
        if len(row) > width and any(cell.strip() for cell in row[width:]):
            faults[place] = f"{len(row)} cells in a table of {width} columns"
        row += [""] * (width - len(row))
    names = [name.lower() for name in header]
    columns: dict[str, list[str]] = {}
    ambiguous = {}
    for place, name in enumerate(names):
        if name and name in columns:
            same = [repr(shown(header[k])) for k, other in enumerate(names) if other == name]
            ambiguous[name] = f"{path} has the columns {' and '.join(same)}; rename one of them"
        elif name:
            columns[name] = [unguarded(row[place]) for row in rows]
    if separator == ";":
        for name, cells in columns.items():
            if name not in (*CRYSTAL_COLUMNS, *ID_COLUMNS, "prompt"):
                columns[name] = [_with_point(cell) for cell in cells]
    return Table(columns, faults, ambiguous)


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell.strip()) else cell


def _separator(header: str) -> str:
    """The separator that makes the header name a crystal column; else the most frequent."""
    for separator in SEPARATORS:
        names = {name.strip(" \"'").lower() for name in header.split(separator)}
        if names & set(CRYSTAL_COLUMNS):
            return separator
    return max(SEPARATORS, key=header.count)


def names_crystals(text: str) -> bool:
    """Whether the first line of a text names a column of crystals."""
    first = text.lstrip("\n").partition("\n")[0][:100_000]
    names = {name.strip(" \"'").lower() for name in first.split(_separator(first))}
    return bool(names & set(CRYSTAL_COLUMNS))


def crystal_column(table: Table, path: Path) -> str:
    """The name of the column that holds the crystals.

    Raises:
        InputError: there is none.
    """
    found = next((name for name in CRYSTAL_COLUMNS if name in table), None)
    if found is None:
        names = list(table.columns)
        listed = ", ".join(shown(name) for name in names[:12]) + (", …" if len(names) > 12 else "")
        raise InputError(f"{path} has no column cif or structure; its columns are {listed}")
    return found


def table_listing(
    text: str, path: Path, limits: ReadLimits, read_file: Callable[[Path], list[Item]]
) -> Listing:
    """The rows of a table; where a cell is a path it is read by `read_file`.

    Raises:
        InputError: it is not a table, has no column of crystals, or has unquoted CIF texts.
    """
    table = read_table(text, path, limits)
    cells = table.column(crystal_column(table, path))
    named = next((column for column in ID_COLUMNS if column in table), None)
    ids = table.column(named) if named else [""] * len(cells)
    if any(cell.startswith(_CIF_LINE) for cell in next(iter(table.columns.values()))):
        raise InputError(
            f"{path} is not a readable table: CIF texts, which have several lines, are not "
            "in quotation marks"
        )
    items = []
    for row, (name, cell) in enumerate(zip(ids, cells, strict=True)):
        item = _item(cell, name, f"{path}, {name.strip() or f'row {row}'}", path.parent, read_file)
        items.append(replace(item, reason=table.faults[row]) if row in table.faults else item)
    others = {name: v for name, v in table.columns.items() if name not in CRYSTAL_COLUMNS}
    prompts = table.column("prompt") if "prompt" in table else None
    return Listing(items, prompts, others, table.ambiguous)


def _item(
    cell: str, name: str, place: str, folder: Path, read_file: Callable[[Path], list[Item]]
) -> Item:
    if not cell.strip():
        return Item(name, place, reason="no CIF text")
    if SPREADSHEET_CELL in (len(cell), len(cell) + cell.count("\n")):
        reason = f"cut at {SPREADSHEET_CELL:,} characters, the most that a spreadsheet's cell holds"
        return Item(name, place, reason=reason)
    kind = kind_of_text(cell)
    word = cell.strip()
    is_path = kind is None and "\n" not in word and len(word) < _PATH
    if is_path and (os.path.isfile(folder / word) or kind_of_name(Path(word)) is not None):
        return _of_file(folder / word, name, place, read_file)
    return Item(name, place, kind or "unknown", cell)


def _of_file(file: Path, name: str, place: str, read_file: Callable[[Path], list[Item]]) -> Item:
    try:
        found = read_file(file)
    except InputError as error:
        return Item(name, place, reason=str(error))
    if len(found) != 1:
        return Item(name, place, reason=f"{file} holds {len(found)} crystals; a row is one")
    return replace(found[0], name=name or found[0].name, place=place)

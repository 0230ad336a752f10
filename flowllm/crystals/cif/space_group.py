"""The space group stated by a block, and the settings compatible with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from flowllm.crystals.cif.cell import Cell
from flowllm.crystals.cif.operations import MAGNETIC, OPERATIONS, Setting, listed_operations
from flowllm.crystals.cif.symbols import setting_of_hall, settings_of_number, settings_of_symbol
from flowllm.crystals.cif.tags import Tags
from flowllm.crystals.cif.values import shown
from flowllm.errors import InputError

HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
SYMBOLS = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_symmetry_space_group_name_h-m_full",
    "_space_group_name_h-m_ref",
    "_space_group_name_h-m",
)
NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
MAGNETIC_GROUPS = ("_space_group_magn_number_bns", "_space_group_magn_name_bns")
_HALL, _MAGNETIC = frozenset(HALL), frozenset(MAGNETIC_GROUPS)
MISFIT = 0.05  # of the metric, relative: operations that fit worse are those of another cell
REMARKABLE = 0.005


@dataclass
class Possible:
    """The settings in which the sites may be given.

    Attributes:
        settings: what the block says, or the usual one and then those of other origins.
        rivals: settings of a contradictory statement.
        explicit: whether operations are listed or a symbol names its origin and axes.
        contradiction: what contradicts what; "" where nothing does.
        doubtful: whether a contradiction must be decided by the rest of the file.
        remarks: on the statements.
    """

    settings: list[Setting]
    rivals: list[Setting] = field(default_factory=list)
    explicit: bool = True
    contradiction: str = ""
    doubtful: bool = False
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Statement:
    rank: int  # 0 listed operations, 1 symbols, 2 a number
    said: str  # for messages: "the space-group symbol 'P 1'"
    settings: tuple[Setting, ...]
    explicit: bool


def read_space_group(tags: Tags, cell: Cell) -> Possible:
    """The settings compatible with operations, Hall symbol, Hermann-Mauguin symbol and number.

    The first of them that is there counts; one that contradicts it is named.

    Raises:
        InputError: the symbol is unknown and nothing else is given; operations do not form a group;
            the cell does not have the shape that the space group demands.
    """
    remarks: list[str] = []
    statements = _statements(tags, remarks)
    if not statements:
        remarks.append("no space group is given; read as P 1")
        return Possible(list(settings_of_symbol("P 1")[0]), remarks=remarks)
    main, *others = statements
    same = [s for s in main.settings if s.number == main.settings[0].number]
    fitting = [setting for setting in same if misfit(setting, cell) <= MISFIT]
    if not fitting:
        _refuse_cell(main, cell)
    if misfit(fitting[0], cell) > REMARKABLE:
        remarks.append(f"the cell fits the space group {fitting[0].name} only roughly")
    possible = Possible(fitting, explicit=main.explicit, remarks=remarks)
    if not main.explicit:
        _narrow(possible, others)
    chosen = possible.settings[0]
    for other in others:
        if not other.settings or not chosen.number:
            continue
        if chosen.number not in {setting.number for setting in other.settings}:
            both = f"{main.said} and {other.said} contradict each other"
            possible.contradiction = possible.contradiction or both
            # operations count before any symbol, a symbol before a number; but P 1 is often what
            # programs write that do not know better
            possible.doubtful |= len(chosen) == 1 or main.rank == other.rank
            possible.rivals += [s for s in other.settings if misfit(s, cell) <= MISFIT]
        elif other.explicit and all(setting.key != chosen.key for setting in other.settings):
            remarks.append(f"{main.said} and {other.said} are of two settings; the first counts")
    return possible


def _narrow(possible: Possible, others: list[_Statement]) -> None:
    """Keep settings of other axes only if the usual one does not fit the cell.

    A symbol such as `P 2` that has several numbers is narrowed by what else is said.
    """
    for other in others:
        keys = {setting.key for setting in other.settings}
        both = [setting for setting in possible.settings if setting.key in keys]
        possible.settings = both or possible.settings
    base = possible.settings[0].name.partition(":")[0]
    possible.settings = [s for s in possible.settings if s.name.partition(":")[0] == base]


def misfit(setting: Setting, cell: Cell) -> float:
    """How far operations change the cell's metric: the largest change of a product, relative."""
    turns = setting.rotations
    if len(turns) == 1:
        return 0.0
    lengths = np.sqrt(np.diag(cell.metric))
    change = np.swapaxes(turns, 1, 2) @ cell.metric @ turns - cell.metric
    return float(np.abs(change / np.outer(lengths, lengths)).max())


def _refuse_cell(main: _Statement, cell: Cell) -> None:
    if cell.assumed:
        raise InputError(f"{' and '.join(cell.assumed)} missing, and 90° does not fit {main.said}")
    values = ", ".join(f"{value:g}" for value in (*cell.lengths, *cell.angles))
    raise InputError(f"the cell ({values}) does not fit {main.said}")


def _statements(tags: Tags, remarks: list[str]) -> list[_Statement]:
    """All statements of a block on its space group, the most exact first."""
    listed = listed_operations(tags)
    hall = tags.first(*HALL) if tags.known(_HALL) else None
    symbols = dict.fromkeys(
        found[1] for tag in SYMBOLS if tag in tags and (found := tags.first(tag))
    )
    number = tags.first(*NUMBERS)
    if tags.known(_MAGNETIC) and not any(tag in tags for tag in (*MAGNETIC, *OPERATIONS)):
        magnetic = tags.first(*MAGNETIC_GROUPS) or ("", "?")
        raise InputError(f"the operations of the magnetic group '{shown(magnetic[1])}' are missing")
    statements, remark = _understood(
        listed, hall[1] if hall else None, tuple(symbols), number[1] if number else None
    )
    if remark:
        remarks.append(remark)
    return list(statements)


@lru_cache(maxsize=1024)
def _understood(
    listed: Setting | None, hall: str | None, symbols: tuple[str, ...], number: str | None
) -> tuple[tuple[_Statement, ...], str]:
    """The statements of texts, with a remark on an unknown one if others are exact."""
    found: list[_Statement] = []
    unknown: list[str] = []

    def add(rank: int, said: str, settings: tuple[Setting, ...], explicit: bool) -> None:
        if settings:
            found.append(_Statement(rank, said, settings, explicit))
        else:
            unknown.append(said)

    if listed is not None:
        add(0, f"the listed operations ({listed.name})", (listed,), True)
    if hall is not None:
        setting = setting_of_hall(hall)
        add(1, f"the Hall symbol '{shown(hall)}'", (setting,) if setting else (), True)
    for symbol in symbols:
        add(1, f"the space-group symbol '{shown(symbol)}'", *settings_of_symbol(symbol))
    if number is not None:
        digits = number.removesuffix(".0").removesuffix(".")
        known = digits.isdecimal() and digits.isascii() and len(digits) <= 3
        settings = settings_of_number(int(digits)) if known else ()
        add(2, f"the space-group number {shown(number)}", settings, False)
    if not unknown:
        return tuple(found), ""
    if not found or found[0].rank == 2:  # a number does not say which axes and origin are meant
        raise InputError(f"{unknown[0]} is unknown")
    return tuple(found), f"{unknown[0]} is unknown; read by {found[0].said}"

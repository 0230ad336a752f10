"""Settings of space groups by Hermann-Mauguin symbol, Hall symbol and number."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from flowllm.crystals.cif.operations import Setting, setting_of

if TYPE_CHECKING:
    import gemmi

_SUFFIX = re.compile(r"(.*?)\s*:\s*([12HRSZ]?)[-a-z0-9]*", re.IGNORECASE)
_LETTER = re.compile(r"(.*?)\s*([HRSZ])", re.IGNORECASE)
_NOTE = re.compile(r"\s*(?:\(.*\)|#.*|,?\s*no\.?\s*\d+)$", re.IGNORECASE)
_SCREW = re.compile(r"([2346])_?[({]([1-5])[)}]")  # `P2(1)/c` of SHELX, `P2_{1}/c` of TeX
_CHOICE = {"S": "1", "Z": "2"}  # of the Inorganic Crystal Structure Database


def settings_of_symbol(symbol: str) -> tuple[tuple[Setting, ...], bool]:
    """The settings that a Hermann-Mauguin symbol may mean, the usual one first.

    Short, full, old and lower-case symbols are known, with `:1`, `:2`, `:H`, `:R` or the letters
    S, Z, H, R behind them.

    Returns:
        The settings, none where the symbol is unknown; and whether the symbol itself says which of
        several origins or axes is meant.
    """
    symbol = _SCREW.sub(r"\1\2", symbol).replace("_", "")
    return _settings_of_symbol(" ".join(_NOTE.sub("", symbol).split()))


@lru_cache(maxsize=1024)
def _settings_of_symbol(symbol: str) -> tuple[tuple[Setting, ...], bool]:
    groups = _groups(symbol)
    if groups and not _SUFFIX.fullmatch(symbol):
        # gemmi reads the letter in `R 3 c R` itself
        letter = _LETTER.fullmatch(symbol)
        if not (letter and letter[1].strip() and _groups(letter[1])):
            return tuple(_setting(group) for group in groups), False
    for pattern in (_SUFFIX, _LETTER):
        found = pattern.fullmatch(symbol)
        if not found or not found[1].strip():
            continue
        groups = _groups(found[1])
        wanted = _CHOICE.get(found[2].upper(), found[2].upper())
        exact = [group for group in groups if wanted and group.ext == wanted]
        if exact:
            return tuple(_setting(group) for group in exact), True
        if groups and pattern is _SUFFIX:
            return tuple(_setting(group) for group in groups), False
    return (), False


@lru_cache(maxsize=256)
def settings_of_number(number: int) -> tuple[Setting, ...]:
    """The settings of an international number, the usual one first."""
    import gemmi

    usual = gemmi.find_spacegroup_by_number(number) if 1 <= number <= 230 else None
    if usual is None:
        return ()
    others = [group for group in _table() if group.number == number and group.hall != usual.hall]
    others.sort(key=lambda group: group.hm != usual.hm)
    return tuple(_setting(group) for group in (usual, *others))


@lru_cache(maxsize=256)
def setting_of_hall(symbol: str) -> Setting | None:
    """The setting of a Hall symbol; None if it cannot be parsed."""
    import gemmi

    try:
        operations = gemmi.symops_from_hall(symbol)
        group = gemmi.find_spacegroup_by_ops(operations)
    except (RuntimeError, ValueError):
        return None
    if group is None:
        return setting_of(operations, symbol, 0)
    return _setting(group)


def _groups(symbol: str) -> list[gemmi.SpaceGroup]:
    """gemmi's entries for a symbol without suffix, then those of other origins and axes."""
    import gemmi

    if symbol.isdecimal():
        sound = len(symbol) < 4 and 1 <= int(symbol) <= 230
        group = gemmi.find_spacegroup_by_number(int(symbol)) if sound else None
    else:
        group = gemmi.find_spacegroup_by_name(symbol)
    if group is None:
        return list(_by_symbol().get(_compact(symbol), []))
    alike = [g for g in _table() if g.hm == group.hm and g.hall != group.hall]
    if not 3 <= group.number <= 15:  # others have one direction for each axis
        return [group, *alike]
    others = _by_symbol().get(_compact(symbol), [])
    known = {group.hall, *(g.hall for g in alike)}
    return [group, *alike, *(g for g in others if g.hall not in known)]


@lru_cache(maxsize=1)
def _table() -> list[gemmi.SpaceGroup]:
    import gemmi

    return list(gemmi.spacegroup_table())


@lru_cache(maxsize=1)
def _by_symbol() -> dict[str, list[gemmi.SpaceGroup]]:
    """Symbols that gemmi does not look up: monoclinic ones of any axis, full ones by spglib."""
    import gemmi
    import spglib

    found: dict[str, list[gemmi.SpaceGroup]] = defaultdict(list)
    halls: dict[frozenset[str], gemmi.SpaceGroup] = {}
    for group in _table():
        halls.setdefault(frozenset(op.triplet() for op in group.operations()), group)
        found[_compact(group.hm)].append(group)
        if 3 <= group.number <= 15:
            words = group.hm.split()
            short = words[0] + "".join(word for word in words[1:] if word != "1")
            found[_compact(short)].append(group)
    for index in range(1, 531):
        kind = spglib.get_spacegroup_type(index)
        assert kind is not None  # spglib has 530
        operations = gemmi.symops_from_hall(kind.hall_symbol)
        known = halls.get(frozenset(op.triplet() for op in operations))
        full = _compact(kind.international_full)
        if known is not None and all(g.hall != known.hall for g in found[full]):
            found[full].append(known)
    return dict(found)


def _compact(symbol: str) -> str:
    return re.sub(r"[\s_]", "", symbol).lower()


@lru_cache(maxsize=1024)
def _setting_by_hall(hall: str, name: str, number: int) -> Setting:
    import gemmi

    return setting_of(gemmi.symops_from_hall(hall), name, number)


def _setting(group: gemmi.SpaceGroup) -> Setting:
    return _setting_by_hall(group.hall, group.xhm(), group.number)

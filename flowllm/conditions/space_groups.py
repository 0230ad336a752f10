"""Space groups as people write them: a number, or a symbol, short, full, lower-case or old."""

from __future__ import annotations

import difflib
import re
from functools import cache

from flowllm.conditions.remarks import shown
from flowllm.errors import InputError
from flowllm.symmetry.symbols import settings, short_symbols, symbol_of

SYSTEMS = {
    "triclinic": (1, 2, 2), "monoclinic": (3, 15, 14), "orthorhombic": (16, 74, 62),
    "tetragonal": (75, 142, 139), "trigonal": (143, 167, 166), "rhombohedral": (146, 167, 166),
    "hexagonal": (168, 194, 194), "cubic": (195, 230, 221),
}  # fmt: skip
"""Crystal system -> its first and last space group, and a usual one."""
STRUCTURES = {
    "perovskite": 221, "rutile": 136, "anatase": 141, "brookite": 61, "fluorite": 225,
    "rocksalt": 225, "rock salt": 225, "halite": 225, "zincblende": 216, "zinc blende": 216,
    "sphalerite": 216, "wurtzite": 186, "spinel": 227, "diamond": 227, "graphite": 194,
    "corundum": 167, "hematite": 167, "ilmenite": 148, "olivine": 62, "pyrite": 205,
    "fcc": 225, "bcc": 229, "hcp": 194, "sc": 221,
}  # fmt: skip
"""Structure type or lattice -> the space group of its usual crystals."""
RHOMBOHEDRAL = (146, 148, 155, 160, 161, 166, 167)
TWO_ORIGINS = (
    48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142, 201, 203,
    222, 224, 227, 228,
)  # fmt: skip
LONGEST = 40  # characters of a symbol
_PLAIN = str.maketrans(
    {
        **{chr(0x2080 + digit): str(digit) for digit in range(10)},  # subscript digits
        **dict.fromkeys("−–¯\u2010\u2011", "-"),
        **dict.fromkeys(" _\t\u00a0\u2009\u202f", ""),
    }
)


def read_space_group(text: str | int) -> int:
    """The international number of a space group, given as number or symbol.

    Symbols may be short (Fm-3m), full (F 4/m -3 2/m), of another setting (P 21/n), of Schoenflies
    (Oh^5), old (Fm3m, Cmca), in any case and with any blanks.

    Args:
        text: such as 225, "225", "#225", "Fm-3m" or "P 21/c".

    Raises:
        InputError: no such space group; like ones are named.
    """
    given = str(text).strip()
    digits = re.fullmatch(r"(?:#|no\.?|nr\.?|sg)? ?(-?[0-9]{1,9})", given, re.I)
    number = _number_of(given)
    if number is None and digits:
        number = int(digits[1])
    if number is None:
        raise InputError(_refusal(given))
    if not 1 <= number <= 230:
        raise InputError(f"space group must be from 1 to 230, not {number}")
    return number


def example_of(word: str) -> tuple[str, str]:
    """A space group for a word that names a crystal system, a structure or a group.

    Returns:
        What `--space-group` takes, and what it is for; two empty texts for any other word.
    """
    known = word.strip().lower()
    if known in SYSTEMS:
        return str(SYSTEMS[known][2]), known
    if known in STRUCTURES:
        return str(STRUCTURES[known]), known
    number = int(known) if re.fullmatch("[0-9]{1,3}", known) else _number_of(word)
    number = number if number in range(1, 231) else None
    return ("", "") if number is None else (str(number), symbol_of(number))


def _refusal(text: str) -> str:
    """Why a text is not a space group."""
    word = text.lower()
    if not text:
        return "the space group is empty"
    if word in SYSTEMS:
        first, last, usual = SYSTEMS[word]
        groups = f"{first} to {last}, as in --space-group {usual} ({symbol_of(usual)})"
        return f"{word} is a crystal system, not a space group; its groups are {groups}"
    if word in STRUCTURES:
        usual = STRUCTURES[word]
        about = f"its usual crystals have {usual} ({symbol_of(usual)})"
        return f"{word} is a structure, not a space group; {about}"
    hint = "write a number from 1 to 230 or a symbol such as Fm-3m"
    symbols = {_key(symbol): number for number, symbol in short_symbols().items()}
    near = difflib.get_close_matches(_key(text), symbols, 3, 0.6) if len(text) <= LONGEST else []
    if near:
        hint = "like it are " + ", ".join(f"{symbol_of(symbols[k])} ({symbols[k]})" for k in near)
    return f"unknown space group {shown(text)}; {hint}"


def _number_of(symbol: str) -> int | None:
    """The number of a symbol; None if it is not one."""
    if len(symbol) > LONGEST:
        return None
    key, table = _key(symbol), _table()
    if key in table:
        return table[key]
    setting = re.fullmatch(r"(.*?)(:|\()?(?:origin)?([12hrsz])\)?", key)
    number = table.get(setting[1]) if setting else None
    if number is None or setting is None or setting[2]:
        return number
    # "R-3mH" and "Fd-3mS" name the setting without a sign, where there are two
    settled = RHOMBOHEDRAL if setting[3] in "hr" else TWO_ORIGINS if setting[3] in "sz" else ()
    return number if number in settled else None


def _key(symbol: str) -> str:
    """A symbol normalised for spelling: blanks, case, signs."""
    plain = re.sub("([0-9])[\u0304\u0305]", r"-\1", symbol.translate(_PLAIN))
    return re.sub("[\u0304\u0305]([0-9])", r"-\1", plain).lower()


@cache
def _table() -> dict[str, int]:
    """Key -> number, of all symbols of gemmi's and spglib's tables, and of old cubic ones.

    A symbol that two groups have is left out, unless it is the short one of its group.
    """
    import gemmi

    found: dict[str, set[int]] = {}
    for group in gemmi.spacegroup_table():
        for name in (group.hm, group.short_name()):
            found.setdefault(_key(name), set()).add(group.number)
    for kind in settings():
        names = (kind.international_short, kind.international_full, kind.schoenflies)
        for name in (*names, *kind.international.split("=")):
            found.setdefault(_key(name), set()).add(kind.number)
    table = {key: min(numbers) for key, numbers in found.items() if len(numbers) == 1}
    for number in (*range(200, 207), *range(221, 231)):  # "Fm3m" was Fm-3m until 1983
        table.setdefault(_key(symbol_of(number)).replace("-3", "3"), number)
    for number, symbol in short_symbols().items():
        table[_key(symbol)] = number
    return table

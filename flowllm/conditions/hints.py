"""What a text that is not a formula was probably meant to be, in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from flowllm.conditions.grammar import ISOTOPES, LONGEST, FormulaError, parse, plain
from flowllm.conditions.space_groups import example_of
from flowllm.crystals.elements import MP20_ELEMENTS, NUMBER_OF

LARGEST_DENOMINATOR = 12  # of decimals that are made whole
LARGEST_HINT = 60  # atoms of a formula that is proposed
MOST_CANDIDATES = 8  # readings in another case that are kept on the way
_ID = re.compile(r"(mp|mvc|oqmd|icsd|cod|jvasp|aflow|agm|nomad)[-_ #]?[0-9]+", re.I)
_NUMBER = re.compile(r"[0-9]*\.[0-9]+|[0-9]+")
_UNKNOWN = re.compile(r"(?<![A-DF-Za-z])[xyznmdδε](?![a-z])")
_CHARGE = re.compile(r"[\^⁺⁻⁰¹²³⁴-⁹+]|[-−–]$")
_MINUS = re.compile("[-−–\u2010\u2011]")  # and two hyphens that no key types


def parses(text: str) -> bool:
    """Whether a text is a formula."""
    try:
        parse(text)
    except FormulaError:
        return False
    return True


def explained(text: str, error: FormulaError) -> str:
    """Why a text is not a formula, and what was probably meant, in one line.

    Args:
        text: what a person wrote.
        error: what the parser says of it.
    """
    if len(text) > LONGEST or not text.strip():
        return str(error)
    words = plain(text)
    for about in _CHECKS:
        found = about(words)
        if found:
            return found
    likely = other_case(words)
    return f"{error}; did you mean {' or '.join(likely)}?" if likely else str(error)


def _element_name(text: str) -> str:
    from pymatgen.core.periodic_table import Element

    names = {element.long_name.lower(): element.symbol for element in Element}
    symbol = names.get(text.lower(), "")
    return f"a name is not a formula; did you mean {symbol}?" if symbol in NUMBER_OF else ""


def _identifier(text: str) -> str:
    if not _ID.fullmatch(text):
        return ""
    return "that is an id of a database; write its formula, as in SrTiO3"


def _named(text: str) -> str:
    """Words beside a formula, in brackets or not: phases, structures, space groups."""
    inside = re.fullmatch(r"(.*?)[(\[{]([^()\[\]{}]*)[)\]}]", text)
    if inside and not parses(inside[2]) and re.search("[A-Za-z]", inside[2]):
        rest, word = inside[1].strip(), inside[2].strip()
    else:
        parts = text.split()
        real = [part for part in parts if parses(part)]
        odd = [part for part in parts if not parses(part)]
        if len(real) != 1 or not any(re.search("[a-z]{2}", part) for part in odd):
            return ""
        rest, word = real[0], " ".join(odd)
    if not parses(rest) or re.fullmatch(r"[-+0-9^]*|[xyzn]", word):
        return ""
    named = re.search(r"space ?group (?:number )?(.+)", word, re.I)
    likely = [named[1]] if named else [word, *word.split()]
    group, name = next(filter(any, map(example_of, likely)), ("", ""))
    what = f"the word {word!r} is not part of a formula"
    structure = f"--space-group {group} for {name}" if group else "--space-group for a structure"
    return f"{what}; ask for {rest}, with {structure}"


def _decimals(text: str) -> str:
    words = re.sub(r"(?<=[0-9]),(?=[0-9])", ".", text)
    numbers = [n for n in _NUMBER.findall(words) if "." in n]
    if not numbers or _UNKNOWN.search(_without_symbols(words)):
        return ""
    if words.count(".") > len(numbers):  # also a dot that is none
        return ""
    likely = _made_whole(words)
    before = words[: words.index(numbers[0])]
    symbol = re.search(r"[A-Z][a-z]?$", before)
    amount = f"{numbers[0]} atoms of {symbol[0]}" if symbol else f"the number {numbers[0]}"
    return f"{amount}: whole numbers only" + (f"; did you mean {likely}?" if likely else "")


def _made_whole(text: str) -> str:
    """A formula of decimals multiplied up to whole numbers; "" where none small enough fits."""
    if re.search(r"[()\[\]{}·*]", text):
        return ""
    found = re.findall(r"([A-Z][a-z]?) ?([0-9]*\.[0-9]+|[0-9]*)", text)
    if "".join(s + n for s, n in found) != text.replace(" ", ""):
        return ""
    amounts = [Fraction(number or 1) for _, number in found]
    digits = min(len(n.partition(".")[2]) for _, n in found if "." in n)
    for rounded in (False, True):
        # 0.33 and 0.667 are thirds: written to two digits or more they may be off by one unit
        off = Fraction(0) if not rounded else Fraction(1, 10**digits)
        if rounded and digits < 2:
            break
        for factor in range(1, LARGEST_DENOMINATOR + 1):
            whole = [round(amount * factor) for amount in amounts]
            allowed = min(off * factor, Fraction(1, 50))
            near = (abs(a * factor - n) <= allowed for a, n in zip(amounts, whole, strict=True))
            if all(near) and all(whole):
                pairs = zip(found, whole, strict=True)
                likely = "".join(s + (str(n) if n > 1 else "") for (s, _), n in pairs)
                return likely if parses(likely) and sum(whole) <= LARGEST_HINT else ""
    return ""


def _exponent(text: str) -> str:
    found = re.search(r"[0-9][eE][-+]?[0-9]+", text)
    return f"{found[0]!r} is an exponent; write whole numbers" if found else ""


def _unknown_amount(text: str) -> str:
    rest = _without_symbols(text)
    found = _UNKNOWN.search(rest)
    if not found or "E" not in rest or re.search("[a-z]{2}", rest) or other_case(text):
        return ""
    return f"{found[0]!r} is not a number; write whole numbers"


def _without_symbols(text: str) -> str:
    """A text with an E for each symbol of an element."""

    def mark(found: re.Match[str]) -> str:
        word = found[0]
        if word in NUMBER_OF or word in ISOTOPES:
            return "E"
        return "E" + word[1:] if word[0] in NUMBER_OF else word

    return re.sub("[A-Z][a-z]?", mark, text)


def _several(text: str) -> str:
    """Several formulas: between blanks, commas, slashes; or a mixture."""
    water = re.fullmatch(r"([^ ]+) ([0-9]*H2O)", text)
    if water and parses(f"{water[1]}·{water[2]}"):
        return f"a hydrate needs its dot; did you mean {water[1]}·{water[2]}?"
    for pattern, joined in ((r"[,;]", False), (r"/", False), (r"\+", False), (r" ", True)):
        parts = [part.strip() for part in re.split(pattern, text)]
        if len(parts) < 2 or not all(map(parses, parts)):
            continue
        if all(part in NUMBER_OF for part in parts) and pattern == "[,;]":
            return f"a list of elements; --elements {','.join(parts)} asks for them"
        line = f"it reads as {len(parts)} formulas; ask for one at a time"
        whole = "".join(parts)
        held = [set(parse(part).atoms) for part in parts]
        one = joined and parses(whole) and len(set().union(*held)) == sum(map(len, held))
        return f"{line}, or write {whole} if it is one" if one else line
    if "/" in text and " " not in text:
        return "a mixture is not a formula; ask for one of its parts"
    return ""


def _dashes(text: str) -> str:
    parts = _MINUS.split(text)
    if len(parts) < 2 or not parts[-1]:
        return ""
    if all(part in NUMBER_OF or part in ISOTOPES for part in parts):
        return f"a chemical system is not a formula; --elements {','.join(parts)} asks for it"
    rest = parts[-1]
    if all(map(parses, parts)):
        return f"it reads as {len(parts)} formulas; ask for one at a time"
    if parses(rest):
        head = text[: -len(rest)]
        return f"the prefix {head!r} is not part of a formula; did you mean {rest}?"
    return ""


def _greek(text: str) -> str:
    rest = text.lstrip("αβγδεζηθκλσω' ")
    if rest == text or not parses(rest):
        return ""
    return f"the prefix {text[0]!r} is not part of a formula; did you mean {rest}?"


def _charges(text: str) -> str:
    return "charges and isotopes are not part of a formula" if _CHARGE.search(text) else ""


_CHECKS: tuple[Callable[[str], str], ...] = (
    _identifier, _element_name, _several, _named, _decimals, _exponent, _unknown_amount, _greek,
    _dashes, _charges,
)  # fmt: skip
"""Each gives a line or "", from the most special to the most general."""


def other_case(text: str) -> list[str]:
    """The formulas that a text is if its letters are read as capitals or not, likeliest first.

    Likelier are elements of MP-20, fewer letters that change, fewer elements.
    """
    if len(text) > 40 or not text.isascii():
        return []
    best: list[list[tuple[int, int, int, str]]] = [[] for _ in range(len(text) + 1)]
    best[0] = [(0, 0, 0, "")]
    for place, here in enumerate(text):
        for strange, changed, groups, before in best[place]:
            if not here.isalpha():
                best[place + 1].append((strange, changed, groups, before + here))
                continue
            for length in (1, 2):
                piece = text[place : place + length]
                symbol = piece.capitalize()
                if len(piece) == length and piece.isalpha() and symbol in NUMBER_OF:
                    odd = strange + (symbol not in MP20_ELEMENTS)
                    other = changed + sum(a != b for a, b in zip(piece, symbol, strict=True))
                    kept = (odd, other, groups + 1, before + symbol)
                    best[place + length].append(kept)
        best[place + 1] = sorted(set(best[place + 1]))[:MOST_CANDIDATES]
    # "water" is a word, and no formula WAtEr
    words = text.isalpha() and len(text) > 3 and text in (text.lower(), text.capitalize())
    found = [
        (rank[:2], rank[3])
        for rank in sorted(best[-1])
        if rank[3] != text and not (words and 2 * rank[2] > len(text)) and parses(rank[3])
    ]
    return [likely for rank, likely in found if rank == found[0][0]][:2]

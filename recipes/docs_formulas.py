"""Formulas of the site as MathML, which browsers draw by themselves."""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
MATHML = "http://www.w3.org/1998/Math/MathML"
FUNCTIONS = {"cos", "det", "exp", "lim", "ln", "log", "max", "min", "sin", "tan"}


def with_formulas(page: str) -> str:
    """The HTML of a page, the formulas that arithmatex marked drawn."""
    return FORMULA.sub(lambda m: mathml(m[3], display=m[2] == "["), page)


def mathml(formula: str, display: bool) -> str:
    """A formula of LaTeX as MathML."""
    from latex2mathml.converter import convert

    upright = html.unescape(formula).replace(r"\operatorname", r"\mathrm")
    drawn = ElementTree.fromstring(convert(upright, display="block" if display else "inline"))
    for row in drawn.iter():
        if row.tag in (f"{{{MATHML}}}math", f"{{{MATHML}}}mrow"):
            row[:] = spaced(list(row))
    ElementTree.register_namespace("", MATHML)
    return ElementTree.tostring(drawn, "unicode")


def spaced(parts: list[ElementTree.Element]) -> list[ElementTree.Element]:
    """The parts of a row with a thin space around functions, as TeX has it: sin ω, but sin(ω)."""
    kept: list[ElementTree.Element] = []
    for place, part in enumerate(parts):
        before = parts[place - 1] if place else None
        pair = () if before is None else (before, part)
        if any(map(is_function, pair)) and not any(map(operator, pair)):
            kept.append(ElementTree.Element(f"{{{MATHML}}}mspace", width="0.167em"))
        kept.append(part)
    return kept


def is_function(part: ElementTree.Element) -> bool:
    """Whether it is a name such as sin, with or without an index."""
    if part.tag in (f"{{{MATHML}}}{name}" for name in ("msub", "msup", "msubsup", "munder")):
        part = part[0]
    return part.tag == f"{{{MATHML}}}mi" and part.text in FUNCTIONS


def operator(part: ElementTree.Element) -> bool:
    """Whether it is a sign or a space, or begins with one, as a bracket does."""
    while part.tag == f"{{{MATHML}}}mrow" and len(part):
        part = part[0]
    return part.tag in (f"{{{MATHML}}}mo", f"{{{MATHML}}}mspace", f"{{{MATHML}}}mtext")

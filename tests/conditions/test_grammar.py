"""The grammar of formulas: what people write, spellings, fuzz, and pymatgen beside it."""

import gzip
import re
import time
import warnings
from csv import DictReader
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from flowllm.conditions.formula import multiples_of, read_composition, read_formula
from flowllm.conditions.grammar import FormulaError, parse
from flowllm.conditions.hints import other_case
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError

CASES = Path(__file__).parents[1] / "inputs" / "cases"
FORMULAS = [
    line.partition("\t")[0]
    for line in (CASES / "20_formulas" / "formulas.tsv").read_text().split("\n")[:-1]
]
WATER = {"O": 1, "H": 2}
READ = {
    "SrTiO3": {"Sr": 1, "Ti": 1, "O": 3},
    "SrTiO₃": {"Sr": 1, "Ti": 1, "O": 3},
    "CuSO4·5H2O": {"Cu": 1, "S": 1, "O": 9, "H": 10},
    "CaSO4.2H2O": {"Ca": 1, "S": 1, "O": 6, "H": 4},
    "MgCl2*6H2O": {"Mg": 1, "Cl": 2, "H": 12, "O": 6},
    "K4[Fe(CN)6]": {"K": 4, "Fe": 1, "C": 6, "N": 6},
    "(NH4)2SO4": {"N": 2, "H": 8, "S": 1, "O": 4},
    "{NH4}Cl": {"N": 1, "H": 4, "Cl": 1},
    "Fe2O3 ": {"Fe": 2, "O": 3},
    "Fe 2 O 3": {"Fe": 2, "O": 3},
    "Fe2 O3": {"Fe": 2, "O": 3},
    "CO": {"C": 1, "O": 1},
    "NO": {"N": 1, "O": 1},
    "Co2": {"Co": 1},
    "O3TiSr": {"Sr": 1, "Ti": 1, "O": 3},
    "C60": {"C": 1},
    "H2O2": {"H": 1, "O": 1},
}
REFUSED = {
    "SrTiO3 (cubic)": "'cubic' is not part of a formula; ask for SrTiO3, with --space-group 221",
    "srtio3": "begin with a capital letter; did you mean SrTiO3?",
    "Ni0.5Co0.5O": "0.5 atoms of Ni: whole numbers only; did you mean NiCoO2?",
    "Ni0.33333Mn0.33333Co0.33333O2": "whole numbers only; did you mean NiMnCoO6?",
    "YBa2Cu3O7-x": "'x' is not a number",
    "YBa2Cu3O6.9": "6.9 atoms of O: whole numbers only",
    "FeO1e1": "'1e1' is an exponent",
    "2NaCl": "it begins with a number; ask for NaCl",
    "NaCl-KCl": "2 formulas",
    "Fe3+": "charges",
    "Na+Cl-": "charges",
    "mp-149": "an id of a database",
    "α-Al2O3": "the prefix 'α-' is not part of a formula; did you mean Al2O3?",
    "LiFePO4/C": "2 formulas",
    "Fe0O2": "an amount is zero",
    "X2O3": "unknown element 'X'",
    "": "the formula is empty",
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_every_formula_of_the_list_is_read_rightly_or_refused_with_a_hint(formula):
    if formula in READ:
        assert read_formula(formula) == READ[formula]
        return
    with pytest.raises(InputError) as caught:
        read_formula(formula)
    assert REFUSED[formula] in str(caught.value) and "\n" not in str(caught.value)


def test_formulas_larger_than_the_cell_are_refused_by_name():
    for formula in ("CuSO4·5H2O", "MgCl2*6H2O"):
        with pytest.raises(InputError, match=f"{re.escape(formula)}' has 21 atoms; a cell holds"):
            multiples_of(formula, 20)


@pytest.mark.parametrize(
    ("formula", "atoms"),
    [
        ("3CaO·SiO2", {"Ca": 3, "O": 5, "Si": 1}),
        ("2CaSO4·H2O", {"Ca": 2, "S": 2, "O": 9, "H": 2}),
        ("CaSO4 · 2 H2O", {"Ca": 1, "S": 1, "O": 6, "H": 4}),
        ("Al2O3.SiO2", {"Al": 2, "O": 5, "Si": 1}),
        ("CoCl2.6(H2O)", {"Co": 1, "Cl": 2, "H": 12, "O": 6}),
        ("NH4NO3", {"N": 2, "H": 4, "O": 3}),
        ("Mg(OH)2", {"Mg": 1, "O": 2, "H": 2}),
        ("\ufeffNa\u00a0Cl\u200b", {"Na": 1, "Cl": 1}),
        ("HDO", {"H": 2, "O": 1}),
    ],
)
def test_hydrates_and_spellings(formula, atoms):
    assert parse(formula).atoms == atoms


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("LiFePO4 LiMn2O4", "2 formulas"),
        ("SrTiO3, BaTiO3", "2 formulas"),
        ("NaCl KBr", "2 formulas; ask for one at a time, or write NaClKBr if it is one"),
        ("CuSO4 5H2O", "did you mean CuSO4·5H2O?"),
        ("Li1.2Ni0.6O2", "did you mean Li6Ni3O10?"),
        ("La1.85Sr0.15CuO4", "whole numbers only"),
        ("CaSO4·0.5H2O", "whole numbers only"),
        ("CoCl3.6NH3", "whole numbers only"),  # Cl3.6, or six NH3: never a guess
        ("Ni0,5Co0,5O", "did you mean NiCoO2?"),
        ("LixCoO2", "'x' is not a number"),
        ("Li1-xCoO2", "'x' is not a number"),
        ("CaSO4·xH2O", "'x' is not a number"),
        ("YBa2Cu3O7-δ", "'δ' is not a number"),
        ("Fe³⁺", "charges and isotopes"),
        ("¹³CO2", "charges and isotopes"),
        ("13CO2", "it begins with a number"),
        ("SO4^2-", "charges"),
        ("Fe(III)", "oxidation states"),
        ("Fe(II)O", "oxidation states"),
        ("FeCl3(aq)", "'aq' is not part"),
        ("Fe2O3 (R-3c)", "--space-group 167"),
        ("TiO2 rutile", "ask for TiO2, with --space-group 136 for rutile"),
        ("TiO2 in space group 136", "--space-group 136"),
        ("β Ga2O3", "did you mean Ga2O3?"),
        ("h-BN", "did you mean BN?"),
        ("2H-MoS2", "did you mean MoS2?"),
        ("Li-Fe-O", "--elements Li,Fe,O"),
        ("MgO/Al2O3", "2 formulas"),
        ("Iron", "did you mean Fe?"),
        ("NaCL", "did you mean NaCl?"),
        ("SRTIO3", "did you mean SrTiO3?"),
        ("licoo2", "did you mean LiCoO2?"),
        ("lifepo4", "did you mean LiFePO4?"),
        ("C02", "letter O"),
        ("oqmd-1234", "an id of a database"),
        ("SrTi(O3", "is not closed"),
        ("SrTiO3)", "')' is not part"),
        ("()2", "expected an element, got ')'"),
        ("O2.", "missing at its end"),
        ("(" * 9 + "H" + ")" * 9, "at most 8 deep"),
        ("H99999", "at most 4 digits"),
        ("((H9999)9999)9999", "more than 100,000 atoms"),
        ("Fe٣", "not part of a formula"),
        ("\x1b[31mFe", r"'\x1b[31mFe'"),
    ],
)
def test_what_is_no_formula_is_refused_with_what_was_meant(formula, said):
    with pytest.raises(InputError) as caught:
        read_formula(formula)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["H" * 10**6, "(" * 10**6, "1" * 10**6, "a" * 10**6, " ." * 10**6])
def test_a_formula_of_a_million_characters_is_cut_in_the_message(text):
    began = time.perf_counter()
    for read in (read_formula, read_composition):
        with pytest.raises(InputError) as caught:
            read(text)
        assert len(str(caught.value)) < 250 and "characters)" in str(caught.value)
    assert time.perf_counter() - began < 1


# ---- spellings of one composition

cells = st.dictionaries(st.sampled_from(SYMBOLS[1:]), st.integers(1, 30), min_size=1, max_size=5)
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def number(count: int) -> str:
    return str(count) if count > 1 else ""


@given(cells, st.data())
def test_every_spelling_of_a_composition_reads_back(cell, data):
    groups = [s + number(n) for s, n in cell.items()]
    brackets = st.sampled_from(["({})", "[{}]", "{{{}}}"])
    bracketed = [  # "(V)" and "(I)" behind an element are oxidation states
        f"[{g}]" if g in ("V", "I") else data.draw(brackets).format(g) for g in groups
    ]
    some = groups[: data.draw(st.integers(0, len(groups) - 1))]
    rest = groups[len(some) :]
    spellings = {
        "".join(groups),
        " ".join(groups),
        " ".join(f"{s} {n}" for s, n in cell.items()),
        "".join(f"{s}{n}" for s, n in cell.items()),
        "".join(groups).translate(SUBSCRIPTS),
        "".join(bracketed),
        f"  [{''.join(groups)}]\t",
        "·".join(filter(None, ["".join(some), "".join(rest)])),
        "*".join(groups),
    }
    for spelling in spellings:
        assert parse(spelling).atoms == cell, spelling
    doubled = {symbol: 2 * count for symbol, count in cell.items()}
    assert parse(f"({''.join(groups)})2").atoms == doubled
    assert parse(f"2{''.join(groups)}·H2O").atoms == {
        **doubled,
        **{s: doubled.get(s, 0) + n for s, n in {"H": 2, "O": 1}.items()},
    }


@given(cells)
def test_a_formula_in_another_case_is_proposed_only_if_it_is_one(cell):
    text = "".join(s + number(n) for s, n in cell.items()).lower()
    for likely in other_case(text):
        assert likely.lower() == text and parse(likely)


PIECES = st.lists(
    st.sampled_from(
        [*SYMBOLS[:30], *"()[]{}·*.,-+^/xδ #0123456789₂₃", "1e1", "cubic", "H2O", "mp-", "D", "\n"]
    ),
    max_size=25,
).map("".join)


@given(st.text(max_size=60) | PIECES | st.binary(max_size=40).map(lambda b: b.decode("latin-1")))
def test_any_text_is_read_or_refused_in_one_line(text):
    for read in (read_formula, read_composition):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = read(text)
            except InputError as error:
                assert "\n" not in str(error)
                for likely in re.findall(r"did you mean ([^ ?]+)", str(error)):
                    assert parse(likely)
            else:
                assert found and all(n > 0 and s in SYMBOLS[1:] for s, n in found.items())
                letters = re.sub("[DT](?![a-z])", "H", text)
                assert all(symbol in letters for symbol in found)  # no element from nowhere


@given(PIECES)
def test_what_pymatgen_reads_otherwise_is_refused_by_us_or_a_hydrate(text):
    try:
        ours = parse(text)
    except FormulaError:
        return
    if re.search(r"[·*.₂₃ \n{}]", text) or ours.isotopes:
        return  # spellings that pymatgen does not know, or reads as decimals
    theirs = Composition(text.strip())
    assert {str(e): n for e, n in theirs.items()} == ours.atoms


@pytest.mark.data
def test_all_formulas_of_mp_20_are_read_as_pymatgen_reads_them(data_dir):
    formulas = set()
    for split in ("train", "val", "test"):
        with gzip.open(data_dir / "mp_20" / f"{split}.csv.gz", "rt") as file:
            formulas |= {row["pretty_formula"] for row in DictReader(file)}
    assert len(formulas) > 30_000
    for formula in formulas:
        assert parse(formula).atoms == Composition(formula).get_el_amt_dict(), formula

"""Phase diagrams of pymatgen, pickled and converted; and pickles that want something else."""

import gzip
import io
import pickle
import re
import time
import tracemalloc

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.hull_entries import HULL_FILE, parse_formula
from flowllm.errors import InputError
from flowllm.stability import HullProvenance, convert_hull, load_hull
from flowllm.stability.hull_build import read_formation_energies
from flowllm.stability.records import Record
from flowllm.stability.reference_energies import REFERENCE_FILE
from flowllm.stability.restricted_pickle import load_records

ELEMENTS = ("Li", "Fe", "O", "Na", "Cl")


@pytest.fixture(scope="module")
def entries(data_dir):
    """Total energies of real compounds, as ComputedEntry with a correction of each kind."""
    import json

    from pymatgen.core import Composition
    from pymatgen.entries.computed_entries import (
        CompositionEnergyAdjustment,
        ComputedEntry,
        ConstantEnergyAdjustment,
    )

    raw = json.loads((data_dir / REFERENCE_FILE).read_text())
    references = {e: ComputedEntry.from_dict(raw[e]) for e in ELEMENTS}
    formulas, energies = read_formation_energies(data_dir / HULL_FILE)
    result = list(references.values())
    for index, (formula, energy) in enumerate(zip(formulas, energies.tolist(), strict=True)):
        if not set(re.findall("[A-Z][a-z]?", formula)) <= set(ELEMENTS):
            continue
        composition = Composition(formula) * 2
        total = energy * composition.num_atoms + sum(
            references[e.symbol].energy_per_atom * n for e, n in composition.items()
        )
        result.append(
            ComputedEntry(
                composition,
                total + 1.5,
                energy_adjustments=[
                    ConstantEnergyAdjustment(-0.5),
                    CompositionEnergyAdjustment(-0.25, 4, name="oxide"),
                ],
                entry_id=f"entry-{index}",
            )
        )
    return result


@pytest.fixture(scope="module")
def diagram(entries):
    from pymatgen.analysis.phase_diagram import PatchedPhaseDiagram

    return PatchedPhaseDiagram(entries)


@pytest.fixture
def write(tmp_path):
    def write(thing, name="ppd.pkl.gz", protocol=None):
        path = tmp_path / name
        data = thing if isinstance(thing, bytes) else pickle.dumps(thing, protocol)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def crystal(formula):
    from pymatgen.core import Lattice, Structure

    species = [e for e, n in parse_formula(formula).items() for _ in range(int(n))]
    coords = np.linspace(0, 0.9, 3 * len(species)).reshape(-1, 3)
    return CrystalBatch.from_pymatgen([Structure(Lattice.cubic(5), species, coords)])


def test_energies_above_the_converted_hull_are_those_of_the_diagram(
    diagram, entries, write, tmp_path
):
    convert_hull(write(diagram), tmp_path / "hull.npz")
    table = load_hull(tmp_path / "hull.npz")
    assert len(table) < len(entries) / 2
    assert set(table.references.energies) == set(ELEMENTS)
    compared = [e for e in entries if len(e.composition) > 1]
    assert len(compared) > 20
    for entry in compared:
        batch = crystal(entry.composition.reduced_formula)
        energy = table.references.formation_energy(batch, [entry.energy_per_atom])
        found = table.e_above_hull(batch, energy)[0]
        expected = diagram.get_e_above_hull(entry)
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_every_protocol_of_pickle_gives_the_same_table(diagram, write, protocol):
    table = convert_hull(write(diagram, f"{protocol}.pkl", protocol))
    again = convert_hull(write(diagram, "ppd.pkl.gz"))
    assert np.array_equal(table.formulas, again.formulas)
    assert np.array_equal(table.energies, again.energies)
    assert table.references == again.references


def test_a_plain_phase_diagram_of_plain_entries_is_converted_too(write):
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram

    diagram = PhaseDiagram(
        [PDEntry("Na", -1.0), PDEntry("Cl2", -4.0), PDEntry("NaCl", -5.0), PDEntry("Na2Cl", -4.1)]
    )
    provenance = HullProvenance("mine", licence="mine")
    table = convert_hull(write(diagram, "pd.pkl"), provenance=provenance)
    assert dict(zip(table.formulas, table.energies, strict=True)) == {"Cl1Na1": -1.0}
    assert table.references.energies == {"Na": -1.0, "Cl": -2.0}
    assert table.provenance == provenance


def test_a_file_of_an_older_python_and_numpy_is_read(diagram, write):
    data = pickle.dumps(diagram, 2)
    assert b"numpy._core.multiarray" in data
    older = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    table = convert_hull(write(older, "older.pkl"))
    assert np.array_equal(table.energies, convert_hull(write(diagram)).energies)


def test_every_kind_of_correction_counts(write):
    from pymatgen.analysis.phase_diagram import PhaseDiagram
    from pymatgen.core import Lattice, Structure
    from pymatgen.entries.computed_entries import (
        CompositionEnergyAdjustment,
        ComputedEntry,
        ComputedStructureEntry,
        ConstantEnergyAdjustment,
        ManualEnergyAdjustment,
        TemperatureEnergyAdjustment,
    )

    salt = ComputedStructureEntry(
        Structure(Lattice.cubic(3), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        np.float64(-5.0),
        energy_adjustments=[
            ConstantEnergyAdjustment(-0.1, uncertainty=0.01),
            ManualEnergyAdjustment(0.4),
            CompositionEnergyAdjustment(-0.3, 2, name="anion"),
            TemperatureEnergyAdjustment(-0.001, 300, 2, name="heat"),
        ],
    )
    diagram = PhaseDiagram([ComputedEntry("Na", -1.0), ComputedEntry("Cl2", -4.0), salt])
    assert salt.energy == pytest.approx(-5.0 - 0.1 + 0.4 - 0.6 - 0.6)
    table = convert_hull(write(diagram))
    assert table.formulas.tolist() == ["Cl1Na1"]
    assert table.energies[0] == pytest.approx((salt.energy + 3.0) / 2)
    assert table.energies[0] == pytest.approx(diagram.get_form_energy_per_atom(salt))


def test_entries_that_lack_something_are_named(write):
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram

    def spoiled(attribute, value=None):
        diagram = PhaseDiagram([PDEntry("Na", -1.0), PDEntry("Cl2", -4.0), PDEntry("NaCl", -5.0)])
        for entry in diagram.qhull_entries:
            setattr(entry, attribute, value)
        return write(diagram)

    with pytest.raises(InputError, match=r"a PDEntry without an energy"):
        convert_hull(spoiled("_energy"))
    with pytest.raises(InputError, match=r"a PDEntry without a composition"):
        convert_hull(spoiled("_composition"))
    with pytest.raises(InputError, match=r"is nan"):
        convert_hull(spoiled("_energy", float("nan")))


def test_where_it_comes_from_is_said(diagram, write):
    table = convert_hull(write(diagram, "2023-02-07-ppd-mp.pkl.gz"))
    assert table.provenance.name == "2023-02-07-ppd-mp"
    assert "2023-02-07-ppd-mp.pkl.gz" in table.provenance.source


# ---- what a pickle may not do ------------------------------------------------------------------


class Runs:
    """Asks for a call when it is read."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_runs_something_is_refused_by_name(write, tmp_path, protocol):
    import os

    target = tmp_path / "was_run"
    bad = write(Runs(os.system, f"touch {target}"), protocol=protocol)
    with pytest.raises(InputError, match=r"asks for \w+\.system, which no phase diagram needs"):
        convert_hull(bad)
    assert not target.exists()


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (eval, ("1",)),
        (getattr, (dict, "fromkeys")),
        (open, ("/dev/null",)),
        (__import__, ("os",)),
        (np.load, ("x.npy",)),
        (np.memmap, ("x",)),
    ],
)
def test_other_ways_to_run_something_are_refused(write, function, args):
    with pytest.raises(InputError, match=r"ppd.pkl.gz: it asks for"):
        convert_hull(write(Runs(function, *args)))


def test_a_name_with_points_does_not_reach_into_a_module_that_is_allowed(write):
    # protocol 4 can name an attribute of an attribute: numpy -> ndarray -> anything below it
    data = b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93."
    with pytest.raises(InputError, match=r"numpy.ndarray.dumps"):
        convert_hull(write(data))


def test_pymatgen_is_not_called_but_recorded():
    from pymatgen.analysis.phase_diagram import PDEntry
    from pymatgen.core import Structure

    def recorded(*call):
        data = pickle.dumps(Runs(*call))
        return load_records(io.BytesIO(data), len(data))

    record = recorded(PDEntry, "no", "such", "entry")
    assert isinstance(record, Record)
    assert record.args == ("no", "such", "entry")
    with pytest.raises(InputError, match=r"not a pickle that can be read"):
        recorded(Structure.from_file, "no-such-file")


def test_files_that_are_no_phase_diagram_are_named(write, diagram, tmp_path):
    from pymatgen.core import Composition

    with pytest.raises(InputError, match=r"no such file: .*none.pkl"):
        convert_hull(tmp_path / "none.pkl")
    with pytest.raises(InputError, match=r"it holds a dict, not a PhaseDiagram"):
        convert_hull(write({"a": 1}))
    with pytest.raises(InputError, match=r"it holds a Composition, not a PhaseDiagram"):
        convert_hull(write(Composition("NaCl")))
    with pytest.raises(InputError, match=r"text.pkl: not a pickle"):
        convert_hull(write(b"a text", "text.pkl"))
    whole = write(diagram, "whole.pkl.gz").read_bytes()
    (tmp_path / "cut.pkl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut.pkl.gz: "):
        convert_hull(tmp_path / "cut.pkl.gz")
    with pytest.raises(InputError, match=r"the table is an .npz file, not hull.json"):
        convert_hull(write(diagram), "hull.json")


# ---- what a pickle may not take ----------------------------------------------------------------


def raw(*parts):
    """A pickle of protocol 4 written by hand; names come as (module, name)."""
    body = b""
    for part in parts:
        if isinstance(part, tuple):
            body += b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in part) + b"\x93"
        else:
            body += part
    return b"\x80\x04" + body + b"."


ENDLESS = 4 * 10**10
DTYPE = ("numpy", "dtype")
FIELDS = b"(K\x03\x8c\x01|NK\x01\x8c\x01a\x85}\x8c\x01ah\x00K\xff\x86sK\x10K\x08K\x00t"
ARRAY = ("numpy", "ndarray")
LIST = ("builtins", "list")
BYTEARRAY = ("builtins", "bytearray")

HOSTILE = {
    "a structured dtype": raw(DTYPE, b"\x8c\x02O8\x85R", FIELDS, b"b"),
    "an object dtype": raw(DTYPE, b"\x8c\x01O\x85R"),
    "fields in the state of a plain dtype": raw(DTYPE, b"\x8c\x02f8\x85R\x94", FIELDS, b"b"),
    "a state for a function": raw(("builtins", "getattr"), b"}\x8c\x0c__defaults__)sb"),
    "a state for a class": raw(("pymatgen.core", "Composition"), b"}\x8c\x07__str__Nsb"),
    "nested tuples as a key": raw(b"}", b")", b"2\x86" * 60, b"Ns"),
    "nested tuples in a set": raw(b"\x8f(", b")", b"2\x86" * 60, b"\x90"),
    "nested tuples as an argument": raw(("builtins", "str"), b")", b"2\x86" * 60, b"\x85R"),
    "nested tuples as a name": raw(("builtins", "getattr"), LIST, b")", b"2\x86" * 60, b"\x86R"),
    "nested tuples as a reference": raw(b")", b"2\x86" * 60, b"Q"),
    "a bytearray of 4e10": raw(BYTEARRAY, b"\x8a\x06", ENDLESS.to_bytes(6, "little"), b"\x85R"),
    "a text of 4e10": raw(b"\x8d" + ENDLESS.to_bytes(8, "little"), b"a"),
    "bytes of 4e10": raw(b"\x96" + ENDLESS.to_bytes(8, "little"), b"a"),
    "a list of a range": raw(LIST, ("builtins", "range"), b"J\xff\xff\xff\x7f\x85R\x85R"),
    "an array of 1e12": raw(ARRAY, b"\x8a\x06", (10**12).to_bytes(6, "little"), b"\x85\x85R"),
    "an integer of 10,000 digits": raw(b"\x8b" + (5000).to_bytes(4, "little"), b"\x01" * 5000),
    "a place in the memo that is empty": raw(b"h\x05"),
    "an end without a value": raw(),
    "a mark that is missing": raw(b"t"),
    "a call of a number": raw(b"K\x01)R"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("name", ["a.pkl", "a.pkl.gz"])
def test_hostile_pickles_are_refused_in_little_time_and_memory(write, case, name):
    path = write(HOSTILE[case], name)
    started = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=rf"{name}: "):
            convert_hull(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("opcode", [b"}", b"]", b"(", b"N0"])
def test_a_small_gzip_of_many_opcodes_ends(write, opcode, monkeypatch):
    monkeypatch.setattr("flowllm.stability.opcodes.BASE_COST", 2**23)
    path = write(b"\x80\x04" + opcode * 2_000_000)
    assert path.stat().st_size < 10_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="more memory or time than a file of its size"):
            convert_hull(path)
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**23
    finally:
        tracemalloc.stop()


def test_a_class_of_ours_is_not_changed_by_a_state(write):
    with pytest.raises(InputError, match=r"it changes something"):
        convert_hull(write(HOSTILE["a state for a class"]))
    assert Record.__str__ is object.__str__


def shaped(state):
    """A diagram with the attributes given and no others."""
    from pymatgen.analysis.phase_diagram import PhaseDiagram

    diagram = PhaseDiagram.__new__(PhaseDiagram)
    diagram.__dict__.update(state)
    return diagram


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"qhull_entries": 5}, "its entries must be a list, not int"),
        ({"qhull_entries": {"a": 1}}, "its entries must be a list, not dict"),
        ({"qhull_entries": [1, "a"]}, "an entry is a int"),
        ({"qhull_entries": [[]]}, "an entry is a list"),
        ({}, "contains no entries"),
    ],
)
def test_a_diagram_of_something_else_is_named(write, state, words):
    with pytest.raises(InputError, match=words):
        convert_hull(write(shaped(state)))


def test_entries_of_something_else_are_named(write):
    from pymatgen.core import Composition, Species
    from pymatgen.entries.computed_entries import CompositionEnergyAdjustment, ComputedEntry

    def refused(words, **changes):
        entry = ComputedEntry("NaCl", -5.0)
        entry.__dict__.update(changes)
        diagram = shaped({"qhull_entries": [ComputedEntry("Na", -1), entry], "el_refs": {}})
        with pytest.raises(InputError, match=words):
            convert_hull(write(diagram))

    adjustment = CompositionEnergyAdjustment(-0.25, 4, name="oxide")
    del adjustment.__dict__["n_atoms"]
    refused("n_atoms is not a number", energy_adjustments=[adjustment])
    refused("a correction|an energy correction is a int", energy_adjustments=[3])
    refused("its corrections must be a list", energy_adjustments=7)
    refused("holds 300 corrections", energy_adjustments=[adjustment] * 300)
    refused("the energy of a ComputedEntry is not a number", _energy="low")
    refused("more digits than any quantity", _energy=10**400)
    refused("something other than elements", _composition=Composition({Species("Na", 1): 1}))
    huge = Composition("NaCl")
    huge._data = {next(iter(huge)): 1e300}
    refused("of 1e\\+300 atoms", _composition=huge)


def test_a_folder_that_is_missing_is_said_before_the_file_is_read(tmp_path):
    with pytest.raises(InputError, match=r"no folder .*none to write"):
        convert_hull(tmp_path / "none.pkl", tmp_path / "none" / "hull.npz")


def test_a_compound_of_all_elements_has_a_hull_energy():
    from flowllm.crystals.elements import SYMBOLS
    from flowllm.data.hull import FormationEnergyHull

    hull = FormationEnergyHull(["NaCl", "Na3Cl", "MgO"], [-2.0, -0.4, -3.0])
    amounts = dict.fromkeys(list(SYMBOLS)[1:90], 1.0)
    assert hull.hull_energy(amounts) == pytest.approx((2 * -2.0 + 2 * -3.0) / 89)

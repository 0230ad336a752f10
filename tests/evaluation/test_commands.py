"""evaluate, reference, hull and export as commands: what they leave, and how they refuse."""

import csv
import json

import numpy as np
import pytest

from flowllm.cli import main
from flowllm.crystals.batch import CrystalBatch
from flowllm.evaluation.reference import RECORD, Reference, shipped

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def folder(parts, reference_folder, tmp_path_factory):
    """An evaluation by the command line, of six crystals of which one is not readable."""
    home = tmp_path_factory.mktemp("command")
    cifs = home / "cifs"
    cifs.mkdir()
    for name, text in zip("abcde", parts["train"][:5].to_cif(), strict=True):
        (cifs / f"{name}.cif").write_text(text)
    (cifs / "f.cif").write_text("nothing")
    words = ["evaluate", str(cifs), "--reference", str(reference_folder), "--out", str(home / "e"),
             "--only", "stability", "--hull", "mp_20", "--fmax", "1.0", "--relax-steps", "3",
             "--workers", "1", "--name", "six"]  # fmt: skip
    assert main(words) == 0
    return home / "e"


def test_evaluate_prints_figures_and_protocol_and_leaves_a_page(folder, capsys, reference_folder):
    cifs = folder.parent / "cifs"
    words = ["evaluate", str(cifs), "--reference", str(reference_folder), "--out", str(folder),
             "--only", "stability", "--hull", "mp_20", "--fmax", "1.0", "--relax-steps", "3",
             "--workers", "1", "--name", "six"]  # fmt: skip
    assert main(words) == 0  # a second time: nothing is left to do
    printed = " ".join(capsys.readouterr().out.split())
    assert "metastable (< 0.1)" in printed and "n = 6" in printed and "CHGNet" in printed
    assert (folder / "report.html").stat().st_size > 1_000_000  # plotly.js is inside
    with open(folder / "per_crystal.csv", newline="") as handle:
        assert [row["id"] for row in csv.DictReader(handle)] == list("abcdef")


def test_export_takes_the_relaxed_crystals_that_have_a_flag(folder, tmp_path):
    from pymatgen.core import Structure

    from flowllm.relax import Relaxation

    assert (
        main(["export", str(folder), "--vasp", "--ids", "b,a", "--out", str(tmp_path / "v")]) == 0
    )
    relaxed = Relaxation.load(folder / "stages" / "relaxation" / "relaxed.npz").crystals
    by_id = {str(i): c for i, c in zip(relaxed.ids, relaxed, strict=True)}
    for name in "ab":
        poscar = Structure.from_file(tmp_path / "v" / name / "POSCAR")
        assert poscar.volume == pytest.approx(by_id[name].volumes[0], rel=1e-5)
        assert (tmp_path / "v" / name / "INCAR").is_file()
    assert not (tmp_path / "v" / "c").exists()
    words = ["export", str(folder), "--quantum-espresso", "--where", "valid", "--out"]
    assert main([*words, str(tmp_path / "q")]) == 0
    assert sorted(p.name for p in (tmp_path / "q").iterdir() if p.is_dir()) == list("abcde")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "{nowhere}", "--out", "{out}"], "no such file or folder"),
        (["evaluate", "{empty}", "--out", "{out}"], "contains no crystals"),
        (["evaluate", "{cif}", "--out", "{out}", "--only", "spin"], "unknown stage 'spin'"),
        (
            ["evaluate", "{cif}", "--out", "{out}", "--reference", "mp_21"],
            "unknown reference 'mp_21'",
        ),
        (["evaluate", "{cif}", "--out", "{out}", "--reference", "{old}"], "version 0"),
        (["evaluate", "{cif}", "--out", "{out}", "--relax-num", "-2"], "relax_num"),
        (["evaluate", "{cif}", "--out", "{out}", "--fmax", "0"], "fmax"),
        (["evaluate", "{cif}", "--out", "{out}", "--dask", "tcp://127.0.0.1:9"], "no Dask"),
        (["evaluate", "{cif}", "--out", "{file}"], "is a file"),
        (["export", "{cif}", "--out", "{out}"], "one of --vasp and --quantum-espresso"),
        (["export", "{cif}", "--vasp", "--where", "sun", "--out", "{out}"], "needs the folder"),
        (["export", "{cif}", "--vasp", "--ids", "zz", "--out", "{out}"], "no crystal zz"),
        (["hull", "convert", "{nowhere}", "--out", "{npz}"], "no such file"),
        (["hull", "convert", "{cif}", "--out", "{npz}"], "one.cif"),
        (["reference", "--data", "{nowhere}", "--out", "{out}"], "nowhere"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_bad_input_is_named_in_one_line_and_nothing_is_left(
    words, message, parts, tmp_path, capsys
):
    places = {name: tmp_path / name for name in ("nowhere", "empty", "out", "old")}
    places |= {name: tmp_path / name for name in ("one.cif", "hull.npz", "file")}
    places["cif"], places["npz"] = places.pop("one.cif"), places.pop("hull.npz")
    places["file"].write_text("a file")
    places["empty"].mkdir()
    places["old"].mkdir()
    (places["old"] / RECORD).write_text(json.dumps({"format": 0}))
    places["cif"].write_text(parts["test"][:1].to_cif()[0])
    assert main([word.format(**places) for word in words]) == 2
    errors = capsys.readouterr().err
    line = next(part for part in errors.splitlines() if part.startswith("flowllm: "))
    assert message in line and "Traceback" not in errors
    assert not places["out"].exists() and not places["npz"].exists()


def test_the_shipped_reference_is_that_of_the_data(data_dir):
    """Fingerprints, densities and space groups of a few test crystals, computed anew."""
    from flowllm.data.sources import load_rows
    from flowllm.metrics.fingerprints import fingerprint_crystals
    from flowllm.metrics.properties import density

    assert "mp_20" in shipped()
    reference = Reference.load("mp_20")
    prints = reference.fingerprints()
    rows = load_rows("mp_20", "test")
    assert len(prints) == len(rows) == 8879
    assert reference.describe("test") == "MP-20 test (recovered, 8,879 of 9,046)"
    chosen = np.arange(0, len(rows), 740)
    place = {str(name): index for index, name in enumerate(prints.ids)}
    from flowllm.data import reduce_cif

    crystals = CrystalBatch.concatenate(reduce_cif(rows.items[i].text, rows.ids[i]) for i in chosen)
    kept = [place[str(name)] for name in crystals.ids]
    fresh = fingerprint_crystals(crystals, workers=1)
    np.testing.assert_allclose(fresh.structure, prints.structure[kept], atol=2e-3)
    np.testing.assert_allclose(fresh.composition, prints.composition[kept], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(density(crystals), reference.values("density")[kept], rtol=1e-5)
    known = rows.properties["space_group"][chosen]
    assert (reference.space_groups()[kept] == known).mean() > 0.9


def test_the_shipped_floor_is_what_a_perfect_model_would_score():
    floor = Reference.load("mp_20").floor
    assert floor["recall"] > 0.99 and floor["precision"] > 0.99
    assert 0 < floor["wdist density, all valid"] < floor["wdist density, 1000 valid"] * 2 < 1
    assert sum(Reference.load("mp_20").bins["n_elements"]) == pytest.approx(1, abs=1e-4)

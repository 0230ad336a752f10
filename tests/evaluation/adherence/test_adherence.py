"""Adherence: shares and correlations of known answer, and a whole run of a tiny system."""

import csv
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from flowllm.cli import main
from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.data import CrystalSet
from flowllm.data.prepare import COMMAND
from flowllm.errors import InputError
from flowllm.evaluation.adherence import figures as figures_module
from flowllm.evaluation.adherence import samples as samples_module
from flowllm.evaluation.adherence.figures import (
    REAL,
    Outcome,
    correlation,
    figures_of,
    kept,
    outcome_of,
)
from flowllm.evaluation.adherence.kinds import asked_of, names_of, needs_places
from flowllm.evaluation.adherence.printing import markdown, print_adherence
from flowllm.evaluation.adherence.run import known_gaps, measure_adherence, priors_of
from flowllm.evaluation.adherence.settings import AdherenceSettings
from flowllm.methods.flow.settings import RefineSettings
from flowllm.runs.folder import RunFolder
from flowllm.systems.system import FlowLLM
from flowllm.teaching.textbook import textbook_structures
from flowllm.text import parse_prompt, parse_text, to_text

pytestmark = pytest.mark.slow

# ---- figures of known answer ---------------------------------------------------------------------

SALT = CrystalBatch([11, 17], [[0.0] * 3, [0.5] * 3], [[3.99] * 3], [[60.0] * 3], [2], ["salt"])
IRON = CrystalBatch([26], [[0.0] * 3], [[2.48] * 3], [[109.4712206] * 3], [1], ["iron"])
POLONIUM = CrystalBatch([84], [[0.0] * 3], [[3.35] * 3], [[90.0] * 3], [1], ["polonium"])
NA_CL = {"Na": 1, "Cl": 1}


def shares(figures):
    return {(f.name, f.stage): (f.value.value, f.value.n) for f in figures}


def test_shares_count_every_prompt_and_a_rejected_one_as_a_miss():
    asked = [
        Conditions(formula="NaCl", composition=NA_CL, elements=("Cl", "Na"), num_atoms=2),
        Conditions(formula="NaCl", composition={"Na": 2, "Cl": 2}, elements=("Na", "Cl"),
                   num_atoms=4),
        Conditions(formula="Fe", composition={"Fe": 1}, elements=("Fe",), num_atoms=1),
        Conditions(formula="KCl", composition={"K": 1, "Cl": 1}, elements=("K", "Cl"),
                   num_atoms=2),
    ]  # fmt: skip
    made = CrystalBatch.concatenate([SALT, SALT, SALT])
    found = outcome_of(made, np.array([0, 1, 3]), 4, groups={})  # the third was rejected
    assert found.formulas == ["NaCl", "NaCl", "", "NaCl"]
    assert shares(figures_of(asked, found, found)) == {
        ("written as a crystal", ""): (0.75, 4),
        ("formula as asked", ""): (0.5, 4),
        ("unit cell as asked", ""): (0.25, 4),
        ("elements as asked", ""): (0.5, 4),
        ("number of atoms as asked", ""): (0.5, 4),
    }
    assert kept(asked, found, "num_atoms").tolist() == [True, False, False, True]


def test_space_groups_are_those_of_spglib_before_and_after():
    asked = [Conditions(space_group=g) for g in (225, 229, 221, 225)]
    crystals = CrystalBatch.concatenate([SALT, IRON, POLONIUM])
    before = outcome_of(crystals, np.array([0, 1, 2]), 4)
    bent = crystals.replace(angles=crystals.angles + np.array([[0.0], [0.0], [0.3]]))
    # a tenth of an Å sees polonium's cell still as a cube, a hundredth does not
    after = outcome_of(bent, np.array([0, 1, 2]), 4)
    real = CrystalBatch.concatenate([SALT, IRON, POLONIUM, SALT])
    as_text = CrystalBatch.concatenate(
        parse_text(text, str(place)) for place, text in enumerate(to_text(real))
    )
    found = shares(figures_of(asked, before, after, as_text=as_text))
    name = "space group as asked, symprec"
    assert found[f"{name} 0.1", "prior"] == found[f"{name} 0.01", "prior"] == (0.75, 4)
    assert found[f"{name} 0.1", "refined"] == (0.75, 4)
    assert found[f"{name} 0.01", "refined"] == (0.5, 4)
    above = "supergroup of the one asked, symprec 0.01"
    assert found[above, "refined"] == (0.0, 4)
    # cubes where subgroups of the same translations are asked for; iron where rock salt is
    lower = [Conditions(space_group=g) for g in (216, 225, 47, 225)]
    higher = shares(figures_of(lower, before, before))
    assert higher[f"{name} 0.01", "prior"] == (0.0, 4)
    assert higher[above, "prior"] == (0.5, 4)
    # iron's angle of 109.47 degrees is written as 109
    assert found[f"{name} 0.01", REAL] == (0.75, 4)


def energies(values):
    return Outcome([NA_CL] * len(values), ["NaCl"] * len(values), {}, {"formation_energy": values})


def test_energies_are_compared_where_there_are_any():
    wanted = np.array([-3.0, -2.0, -1.0, 0.0, -1.5])
    asked = [Conditions(formation_energy=e) for e in wanted]
    prior = energies(np.array([-1.0, -1.5, -2.0, 4.0, np.nan]))
    refined = energies(2 * wanted + 1)
    relaxed = {"formation_energy": np.array([np.nan, -2.5, -1.5, -0.5, -2.0])}
    found = shares(figures_of(asked, prior, refined, relaxed))
    finite = slice(0, 4)
    theirs = prior.energies["formation_energy"][finite]
    name = "formation energy, "
    assert found[name + "Pearson's r", "prior"] == pytest.approx(
        (stats.pearsonr(wanted[finite], theirs)[0], 4)
    )
    assert found[name + "Spearman's ρ", "prior"] == pytest.approx(
        (stats.spearmanr(wanted[finite], theirs)[0], 4)
    )
    assert found[name + "Pearson's r", "refined"] == pytest.approx((1.0, 5))
    assert found[name + "median deviation", "refined"] == pytest.approx((1.0, 5))
    assert found[name + "median deviation", "relaxed"] == pytest.approx((0.5, 4))


def test_band_gaps_are_those_of_known_crystals():
    asked = [Conditions(band_gap=gap) for gap in (5.0, 1.0, 0.0, 2.0)]
    groups = np.array([225, 225, 229, 221])
    formulas = ["NaCl", "LiF", "Fe", "Po"]
    found = Outcome([NA_CL] * 4, formulas, {0.1: groups})
    gaps = {("NaCl", 225): 5.5, ("LiF", 225): 1.5, ("Fe", 229): 0.5, ("Po", 12): 9.0}
    figures = shares(figures_of(asked, found, found, known_gaps=gaps))
    name = "band gap of the known crystal, "
    assert figures[name + "Pearson's r", "refined"] == pytest.approx((1.0, 3))
    assert figures[name + "median deviation", "refined"] == pytest.approx((0.5, 3))
    # where the formula is asked for too, the known crystal is the very one that was asked after
    both = [Conditions(formula=f, band_gap=1.0) for f in formulas]
    figures = shares(figures_of(both, found, found, known_gaps=gaps))
    assert ("formula as asked", "") in figures and (name + "Pearson's r", "refined") not in figures


@given(st.integers(0, 2**32 - 1), st.integers(3, 40), st.booleans())
def test_correlations_are_scipys_and_lie_in_their_interval(seed, n, ranked):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n).round(1)
    y = (0.5 * x + rng.normal(size=n)).round(1)
    found = correlation(np.append(x, [1.0, np.nan]), np.append(y, [np.nan, 2.0]), ranked)
    assert found.n == n
    if np.ptp(x) and np.ptp(y):
        theirs = (stats.spearmanr if ranked else stats.pearsonr)(x, y)[0]
        assert found.value == pytest.approx(theirs)
        assert -1 - 1e-9 <= found.low <= found.high <= 1 + 1e-9


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng, truth, hits = np.random.default_rng(1), 0.6, 0
    for _ in range(100):
        pairs = rng.multivariate_normal([0, 0], [[1, truth], [truth, 1]], 200)
        found = correlation(pairs[:, 0], pairs[:, 1])
        hits += found.low <= truth <= found.high
    assert 86 <= hits <= 100  # 95 are expected


def test_too_few_pairs_have_no_correlation():
    found = correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    assert np.isnan(found.value) and found.n == 2
    figure = figures_module.Figure("r", "prior", found, False)
    assert figure.text() == "too few (n = 2)"


# ---- what is asked -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known() -> CrystalSet:
    """30 textbook crystals of at most 6 atoms; of every third the energy is unknown."""
    small = textbook_structures()
    small = small[np.flatnonzero(small.crystals.num_atoms <= 6)[:30]]
    values = np.linspace(-3, 0, 30)
    values[::3] = np.nan
    gaps = np.linspace(0, 6, 30)
    return CrystalSet(
        small.crystals,
        {**small.properties, "formation_energy": values, "e_above_hull": -values / 30,
         "band_gap": gaps},
        np.array(small.reduced_formulas),
    )  # fmt: skip


def test_conditions_are_those_of_real_crystals_each_once(known):
    targets = asked_of(known, "formation-energy+space-group", 12, seed=3)
    assert len({target.source for target in targets}) == 12
    place = {str(name): i for i, name in enumerate(known.crystals.ids)}
    for target in targets:
        index = place[target.source]
        assert target.conditions == Conditions(
            space_group=int(known.properties["space_group"][index]),
            formation_energy=float(known.properties["formation_energy"][index]),
        )
        assert target.request.space_group == target.conditions.space_group
    assert asked_of(known, "formation-energy+space-group", 12, seed=3) == targets
    assert len(asked_of(known, "all", 99)) == 20  # no more than have an energy
    assert len(asked_of(known, "formula", 99)) == 30
    with pytest.raises(InputError, match="no crystal of the data has a known band_gap"):
        asked_of(CrystalSet(known.crystals, {}, known.formulas), "band-gap", 3)


def test_crystals_that_contradict_themselves_are_passed_over(known):
    wrong = {**known.properties, "space_group": np.full(30, 19.0)}  # all in fours
    counts = known.crystals.compositions
    fitting = sum(all(n % 4 == 0 for n in cell.values()) for cell in counts)
    assert fitting < 30
    data = CrystalSet(known.crystals, wrong, known.formulas)
    if fitting:
        assert len(asked_of(data, "composition+space-group", 30)) == fitting
    else:
        with pytest.raises(InputError, match="composition and space_group"):
            asked_of(data, "composition+space-group", 30)


def test_kinds_name_conditions():
    assert names_of("formula+space-group") == ("formula", "space_group")
    assert len(names_of("all")) == 8
    assert needs_places("all") and needs_places("band-gap") and not needs_places("formula")
    for kind, said in (("colour", "unknown condition 'colour'"), ("formula+formula", "twice")):
        with pytest.raises(InputError, match=said):
            names_of(kind)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num": 0}, "at least 1"),
        ({"seed": -1}, "seed"),
        ({"kinds": ()}, "no kind"),
        ({"kinds": ("colour",)}, "colour"),
        ({"split": "rest"}, "unknown split 'rest'"),
        ({"modes": ("maybe",)}, "maybe"),
        ({"relax_num": -1}, "relax_num"),
    ],
)
def test_settings_check_themselves(change, said):
    with pytest.raises(InputError, match=said):
        AdherenceSettings(**change)


# ---- a whole run ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(known, tmp_path_factory):
    """A prepared folder whose test split is these crystals."""
    path = tmp_path_factory.mktemp("adherence") / "data"
    with RunFolder.open(path, COMMAND, {}) as run:
        for split in ("train", "test"):
            known.save(path / f"{split}.npz")
        run.finish()
    return path


@pytest.fixture(scope="module")
def settings(folder):
    return AdherenceSettings(
        "mp20-compact", str(folder), num=6, kinds=("formula", "all"), relax_num=2,
        refinement=RefineSettings(steps=2),
    )  # fmt: skip


@pytest.fixture(scope="module")
def measured(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("measured") / "out"
    return out, measure_adherence(settings, out, device="cpu", workers=1)


def test_a_run_holds_figures_a_row_for_each_prompt_and_a_table(measured, known):
    out, summary = measured
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary))
    rows = list(csv.DictReader((out / "per_crystal.csv").read_text().splitlines()))
    assert len(rows) == 2 * 2 * 6
    formulas = dict(zip(known.crystals.ids, known.reduced_formulas, strict=True))
    for row in rows:
        assert row["asked_formula"] == formulas[row["source"]]
        assert (row["kept_formula"] == "True") == (row["formula"] == row["asked_formula"])
        told = parse_prompt("Below is a description of a bulk material. " + row["prompt"] + " ")
        assert told.composition is not None
        assert (told.space_group is None) == (row["kind"] == "formula")
    # the shares of the summary are those of the table
    for figure in summary["figures"]:
        if figure["figure"] == "formula as asked":
            own = [
                row["kept_formula"] == "True"
                for row in rows
                if (row["kind"], row["constraints"]) == (figure["kind"], figure["constraints"])
            ]
            assert figure["value"] == pytest.approx(np.mean(own)) and figure["n"] == 6
            assert figure["constraints"] == "without" or figure["value"] == 1.0
    found = {(f["figure"], f["stage"], f["constraints"]): f for f in summary["figures"]}
    for stage, count in (("prior", 6), ("refined", 6), ("relaxed", 2)):
        figure = found["formation energy, Pearson's r", stage, "with"]
        assert figure["n"] <= count
    assert ("space group as asked, symprec 0.1", REAL, "with") in found
    table = (out / "table.md").read_text()
    assert table == markdown(summary["figures"])
    assert "| without constraints | with constraints |" in table
    lines = table.strip().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert [line.split("|")[1].strip() for line in lines[2:]].count("all") == 1


def test_a_finished_run_is_read_and_another_refused(measured, settings, monkeypatch):
    out, summary = measured
    monkeypatch.setattr("flowllm.evaluation.adherence.run.Samples", None)
    again = measure_adherence(settings, out, device="cpu")
    assert again == json.loads(json.dumps(summary))
    other = AdherenceSettings(**{**vars(settings), "num": 5})
    with pytest.raises(InputError, match="num is 6 there and 5 now"):
        measure_adherence(other, out, device="cpu")


@pytest.mark.parametrize("content", ["", "[]", "null", '{"figures": [3]}', '{"figures": [{}]}'])
def test_a_damaged_summary_of_a_finished_run_is_made_again(measured, settings, tmp_path, content):
    out = tmp_path / "out"
    shutil.copytree(measured[0], out)
    (out / "summary.json").write_text(content)
    again = measure_adherence(settings, out, device="cpu", workers=1)
    assert again["figures"] == measured[1]["figures"]
    assert json.loads((out / "summary.json").read_text())["figures"]


def test_an_interrupted_run_goes_on_and_ends_as_the_other(
    measured, settings, tmp_path, monkeypatch
):
    out, summary = measured
    real, calls = samples_module.outcome_of, []

    def stop(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(samples_module, "outcome_of", stop)
    with pytest.raises(KeyboardInterrupt):
        measure_adherence(settings, tmp_path / "out", device="cpu", workers=1)
    kept_parts = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out" / "parts").iterdir()}
    assert kept_parts
    # a cut deep in an archive shows only when its arrays are read
    for name in ("formula-without-000000", "all-without-groups-prior"):
        damaged = tmp_path / "out" / "parts" / f"{name}.npz"
        damaged.write_bytes(damaged.read_bytes()[:-200])
    monkeypatch.setattr(samples_module, "outcome_of", real)
    again = measure_adherence(settings, tmp_path / "out", device="cpu", workers=1)
    assert again["figures"] == summary["figures"]
    for name in ("per_crystal.csv", "table.md"):
        assert (tmp_path / "out" / name).read_text() == (out / name).read_text()
    now = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out" / "parts").iterdir()}
    same = [name for name in kept_parts if now[name] == kept_parts[name]]
    assert len(same) == len(kept_parts) - 2


def test_the_figures_are_printed_with_their_protocol(measured, capsys):
    print_adherence(measured[1])
    shown = capsys.readouterr().out
    for words in ("Adherence", "without constraints", "formula as asked", "CHGNet", "bootstrap"):
        assert words in shown


def test_the_command_measures_what_it_is_told_to(folder, tmp_path, system_folder, capsys):
    words = ["adherence", "--out", str(tmp_path / "out"), "--data", str(folder), "--num", "4"]
    words += ["--kinds", "num-atoms, elements", "--constraints", "with", "--steps", "1"]
    assert main([*words, "--model", str(system_folder), "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "number of atoms as asked" in shown and "table.md" in shown
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {f["constraints"] for f in summary["figures"]} == {"with"}
    assert {f["value"] for f in summary["figures"]} == {1.0}  # held to it, whatever the weights


def test_a_model_without_constraints_is_measured_as_it_is(system):
    free = FlowLLM(
        system.prior.unconstrained(),
        system.refiner, system.num_atoms_histogram,
    )  # fmt: skip
    assert [mode for mode, _ in priors_of(free, ("without", "with"))] == ["without"]
    with pytest.raises(InputError, match="no decoding constraints"):
        list(priors_of(free, ("with",)))
    both = dict(priors_of(system, ("without", "with")))
    assert both["with"] is system.prior and not both["without"].constrained


def test_known_band_gaps_are_means_by_formula_and_space_group(folder, known):
    gaps = known_gaps(str(folder))
    index = 4
    key = known.reduced_formulas[index], int(known.properties["space_group"][index])
    same = [
        gap
        for formula, group, gap in zip(
            known.reduced_formulas, known.properties["space_group"],
            known.properties["band_gap"], strict=True,
        )
        if (formula, int(group)) == key
    ]  # fmt: skip
    assert gaps[key] == pytest.approx(np.mean(same))

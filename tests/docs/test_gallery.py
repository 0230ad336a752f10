"""The gallery follows its rule: the first crystals of every system, all of them, faults marked."""

from __future__ import annotations

import re

import numpy as np
import pytest

from flowllm.crystals.trajectory import Trajectory
from flowllm.metrics.facts import crystal_facts
from recipes.gallery import (
    ENERGIES_FILE,
    FRAMES_FILE,
    NUM,
    PAGE,
    drawn,
    faults,
    models,
    write_page,
)
from recipes.gallery_energies import Energies, load, measure


@pytest.fixture(scope="module")
def trajectory():
    return Trajectory.load(FRAMES_FILE)


@pytest.fixture(scope="module")
def facts(trajectory):
    return crystal_facts(trajectory.last)


def test_every_system_shows_its_first_crystals(trajectory):
    assert trajectory.ids.tolist() == [f"{model}-{i + 1}" for model in models() for i in range(NUM)]
    assert trajectory.num_crystals >= 48
    assert FRAMES_FILE.stat().st_size + ENERGIES_FILE.stat().st_size < 1_500_000


def test_the_crystals_are_those_that_come_out(trajectory):
    again = drawn("mp20-templates")
    stored = trajectory.select(
        np.flatnonzero(np.char.startswith(trajectory.ids, "mp20-templates-"))
    )
    assert list(again.last.formulas) == list(stored.last.formulas)
    assert np.allclose(again.lengths, stored.lengths, atol=1e-3)


def test_energies_are_those_of_crystals():
    """Known templates lie near the hull; eV an atom, not of a cell."""
    energies = load(ENERGIES_FILE)
    near = [one for name, one in energies.items() if name.startswith("mp20-symmetric")]
    assert len(near) == NUM and all(-0.3 < one.above < 0.5 for one in near)
    assert all(one.converged and -0.3 < one.relaxed <= one.above for one in near)


def test_relaxation_gains_what_lies_between_the_energies(facts):
    energies = list(load(ENERGIES_FILE).values())
    for one, fact in zip(energies, facts, strict=True):
        assert (one.relaxed is None) == (one.drop is None)
        if fact.fault:
            assert one.relaxed is None and one.steps == 0
        elif one.relaxed is not None and one.above is not None:
            assert one.drop == pytest.approx(one.above - one.relaxed, abs=0.002)


def test_energies_are_measured_as_an_evaluation_does(trajectory, facts):
    """The third crystal again, of four atoms, and one without volume, which is not relaxed."""
    place = 2
    one = trajectory.last[place : place + 1]
    again = measure(one, facts[place : place + 1], 1)[str(one.ids[0])]
    stored = load(ENERGIES_FILE)[str(one.ids[0])]
    assert again.relaxed == pytest.approx(stored.relaxed, abs=0.002)
    assert again.drop == pytest.approx(stored.drop, abs=0.002)
    flat = one.replace(lengths=one.lengths * np.array([1, 1, 1e-3]))
    assert measure(flat, crystal_facts(flat), 1)[str(one.ids[0])].relaxed is None


def test_energies_in_words():
    assert Energies(1.0, 0.25, 0.75, 12, True).text == (
        "E_hull 1.000 eV/atom as it came out, 0.250 after 12 steps of relaxation."
    )
    assert Energies(1.0, 0.25, 0.75, 1500, False).cells == "1.000 | 0.250 * | 0.750"
    assert Energies(1.0, None, None, 0, False).text.endswith("not relaxed.")
    assert Energies(None, None, None, 0, False).cells == "– | – | –"


def test_the_tables_list_each_crystal_with_its_faults(trajectory, facts):
    energies = load(ENERGIES_FILE)
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == trajectory.num_crystals
    for (number, row), name, one in zip(rows, trajectory.ids, facts, strict=True):
        cells = [cell.strip() for cell in row.split("|")]
        wrong = faults(one, energies[name].above)
        assert name.endswith(f"-{number}")
        assert cells[0] == one.formula and " | ".join(cells[3:6]) == energies[name].cells
        assert cells[-1] == ("**" + "; ".join(wrong) + "**" if wrong else "")
    assert any(
        faults(one, energies[name].above) for name, one in zip(trajectory.ids, facts, strict=True)
    )


def test_the_page_shows_them_all_without_a_network(trajectory, tmp_path):
    write_page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert all(f'"{name}"' in text for name in trajectory.ids)
    assert not re.search(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="https?:', text)

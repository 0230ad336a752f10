"""The gallery follows its rule: the first crystals of every system, all of them, faults marked."""

from __future__ import annotations

import json
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
    energy_text,
    faults,
    models,
    write_page,
)


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
    energies = json.loads(ENERGIES_FILE.read_text("utf-8"))
    near = [value for name, value in energies.items() if name.startswith("mp20-symmetric")]
    assert len(near) == NUM and all(-0.3 < value < 0.5 for value in near)


def test_the_tables_list_each_crystal_with_its_faults(trajectory, facts):
    energies = json.loads(ENERGIES_FILE.read_text("utf-8"))
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == trajectory.num_crystals
    for (number, row), name, one in zip(rows, trajectory.ids, facts, strict=True):
        cells = [cell.strip() for cell in row.split("|")]
        wrong = faults(one, energies[name])
        assert name.endswith(f"-{number}")
        assert cells[0] == one.formula and cells[3] == energy_text(energies[name])
        assert cells[-1] == ("**" + "; ".join(wrong) + "**" if wrong else "")
    assert any(faults(one, energies[name]) for name, one in zip(trajectory.ids, facts, strict=True))


def test_the_page_shows_them_all_without_a_network(trajectory, tmp_path):
    write_page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert all(f'"{name}"' in text for name in trajectory.ids)
    assert not re.search(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="https?:', text)

"""The exercises of the notebooks: right answers pass, usual mistakes are explained."""

import re

import numpy as np
import pytest
import torch

from flowllm.errors import InputError
from flowllm.manifolds import FlatTorus
from flowllm.manifolds.wrapped_normal import wrapped_score
from flowllm.methods.diffcsp.schedule import entry_step, visited_steps
from flowllm.methods.flow.ode import euler_step
from flowllm.methods.language_model.decoding.nucleus import nucleus
from flowllm.stability import HullTable, load_hull
from flowllm.stability.sun import sun_rates
from flowllm.teaching.exercises import EXERCISES, AnswerError, check
from flowllm.teaching.exercises.moving import ENTROPY_CASES, EULER_CASES, LOG_CASES
from flowllm.text import to_text
from tests.notebooks.form import PATHS, cells

pytestmark = pytest.mark.slow

MISTAKES = [(name, place) for name, one in EXERCISES.items() for place in range(len(one.mistakes))]


@pytest.mark.parametrize("name", EXERCISES)
def test_the_right_answer_passes(name, capsys):
    check(name, EXERCISES[name].right)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("name", "place"), MISTAKES)
def test_each_mistake_gets_its_own_sentence(name, place):
    wrong, cause = EXERCISES[name].mistakes[place]
    with pytest.raises(AnswerError, match=re.escape(cause)):
        check(name, wrong)


@pytest.mark.parametrize("name", EXERCISES)
def test_any_other_answer_gets_the_hint(name):
    exercise = EXERCISES[name]
    strange = (lambda *_: 77.0) if exercise.cases else 77.0
    with pytest.raises(AnswerError, match=re.escape(exercise.hint)):
        check(name, strange)
    with pytest.raises(AnswerError):
        check(name, "seventy-seven")


@pytest.mark.parametrize("name", EXERCISES)
def test_no_answer_yet_is_no_error(name, capsys):
    check(name, (lambda *_: None) if EXERCISES[name].cases else None)
    assert capsys.readouterr().out.startswith("Not yet")


def test_half_a_list_is_no_answer_yet(capsys):
    check("01.2", [6, None])
    assert capsys.readouterr().out.startswith("Not yet")


def test_texts_may_be_written_in_small_letters(capsys):
    check("04.2", " c ")
    assert capsys.readouterr().out.startswith("Right.")


def test_a_wrong_answer_is_shown_without_the_lines_that_led_to_it():
    assert AnswerError("Mind the sign.")._render_traceback_() == ["Not right yet. Mind the sign."]


def test_an_unknown_exercise_is_refused():
    with pytest.raises(InputError, match=r"unknown exercise '99\.1'"):
        check("99.1", 1)


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_every_notebook_has_its_exercises_and_their_solutions(path):
    number = path.stem[:2]
    mine = [name for name in EXERCISES if name.startswith(number)]
    assert len(mine) >= 2
    code, prose = "\n".join(cells(path, "code")), "\n\n".join(cells(path, "markdown"))
    assert re.findall(r'check\("([\d.]+)"', code) == mine
    assert re.findall(r"\*\*Exercise (\d)\.\*\*", prose) == [name[-1] for name in mine]
    assert prose.count("<details><summary>Solution</summary>") == len(mine)


# ---- the answers are those of the package --------------------------------------------------------


def answer(name):
    return EXERCISES[name].right


def test_answers_about_texts_agree_with_what_writes_texts():
    from flowllm.crystals.batch import CrystalBatch

    for (f,) in EXERCISES["01.1"].cases:
        crystal = CrystalBatch([11], [[f, 0, 0]], [[4, 4, 4]], [[90, 90, 90]], [1], ["x"])
        assert to_text(crystal)[0].split("\n")[3].split()[0] == f"{answer('01.1')(f):.2f}"


def test_answers_about_the_torus_agree_with_the_manifold():
    torus = FlatTorus()
    for x, y in LOG_CASES:
        way = torus.logmap(*(torch.tensor([v], dtype=torch.float64) for v in (x, y)))
        assert answer("04.1")(x, y) == pytest.approx(way.item())
    for x, v, dt in EULER_CASES:
        start, speed = (torch.tensor([value], dtype=torch.float64) for value in (x, v))
        step = euler_step(lambda t, x, speed=speed: speed, torus, start, 0.0, dt)
        assert answer("05.2")(x, v, dt) == pytest.approx(step.item())


def test_the_entropy_is_that_of_the_decoder():
    for scores, temperature in ENTROPY_CASES:
        p = nucleus(torch.tensor(scores)[None], temperature, 1.0)[0][0].double()
        expected = -(p * p.log()).sum().item()
        assert answer("05.1")(scores, temperature) == pytest.approx(expected, abs=1e-6)


def test_answers_about_diffusion_are_computed_by_it():
    visited = visited_steps(entry_step(0.5), 200)
    assert answer("08.2") == 2 * (len(visited) - 1)
    score = wrapped_score(torch.tensor(0.25, dtype=torch.float64), 0.5)
    assert answer("08.3") == pytest.approx(score.item(), abs=1e-4)


def test_the_energy_above_the_hull_is_that_of_a_hull():
    from flowllm.crystals.batch import CrystalBatch

    hull = HullTable(np.array(["NaCl"]), np.array([-0.5]), load_hull("mp_20").references)
    cube = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    crystal = CrystalBatch([11, 17, 17, 17], cube, [[5] * 3], [[90] * 3], [4], ["NaCl3"])
    assert hull.e_above_hull(crystal, np.array([-0.2])) == pytest.approx([answer("06.1")])


def test_the_sun_rate_is_counted_as_the_evaluation_counts_it():
    energies = np.array([-0.02, -0.03, -0.01, 0.05, 0.01, -0.02, 0.08, -0.04])
    groups, novel = np.array([0, 0, 1, 2, 3, 3, 4, 5]), np.arange(8) != 2
    rates = sun_rates(energies, groups, novel, np.full(8, 2), total=10)
    assert rates.at(0.0).sun_rate.value == pytest.approx(answer("06.2"))

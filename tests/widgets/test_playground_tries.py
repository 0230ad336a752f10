"""What becomes of a try: samples, facts, the table, and models of several kinds at work."""

import threading
import time
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.decoding.events import Sentence, Token
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.metrics.facts import crystal_facts
from flowllm.settings import setting
from flowllm.systems.events import Asked, Drawn, Refined, Rejected
from flowllm.text import build_prompt
from flowllm_widgets.playground.figure import (
    sweep_errors,
    sweep_figure,
    sweep_ticks,
    sweep_values,
)
from flowllm_widgets.playground.run import carry_out, patiently
from flowllm_widgets.playground.sweep import Point, point_of, sweep, temperatures
from flowllm_widgets.playground.tokens import TokenStream, encode
from flowllm_widgets.playground.tries import Sample, Settings, Try, columns, table
from flowllm_widgets.shared.background import Cancelled, Stop

SALT = CrystalBatch([11, 17], [[0.0] * 3, [0.5] * 3], [[3.99] * 3], [[60.0] * 3], [2], ["salt"])
CLASH = CrystalBatch([11, 17], [[0.0] * 3, [0.01] * 3], [[4.0] * 3], [[60.0] * 3], [2], ["clash"])
ODD = CrystalBatch(
    [11, 9, 9], [[0.0] * 3, [0.3] * 3, [0.7] * 3], [[5.0] * 3], [[90.0] * 3], [3], ["odd"]
)
SETTINGS = Settings(build_prompt(), refinement=RefineSettings(2, record=True), num=3)
COLUMNS = columns(SamplingSettings, RefineSettings)


def way(crystal: CrystalBatch) -> Trajectory:
    return Trajectory.from_frames([0.0, 1.0], [crystal, crystal])


class Shelf:
    """A model with `generate` only; its crystals in turn."""

    def __init__(self, *crystals):
        self.crystals, self.asked = crystals, []

    def generate(self, num, *, prompts, seed, sampling, refinement):
        self.asked.append((num, prompts, seed, sampling.temperature, refinement.steps))
        chosen = CrystalBatch.concatenate(self.crystals[i % len(self.crystals)] for i in range(num))
        return SimpleNamespace(refined=chosen, prior=chosen, trajectory=way(chosen))


def token(text, part="crystal", draw=0, attempt=0, index=0):
    return Token(index, attempt, part, draw, text, 0.5, 0.25, ())


# ---- facts


def test_facts_of_known_crystals():
    salt, clash, odd = crystal_facts(CrystalBatch.concatenate([SALT, CLASH, ODD]))
    assert (salt.formula, salt.space_group, salt.num_atoms) == ("NaCl", 225, 2)
    assert salt.density == pytest.approx(2.16, abs=0.02)  # g/cm³ of rock salt
    assert salt.valid and salt.fault == ""
    assert "apart" in clash.fault and clash.charge_balanced and not clash.valid
    assert odd.formula == "NaF2" and not odd.charge_balanced and not odd.valid


def test_an_open_type_and_no_crystals_are_borne():
    opened = SALT.replace(atomic_numbers=[0, 17])
    first, second = crystal_facts(CrystalBatch.concatenate([opened, SALT]))
    assert (first.formula, first.valid, second.formula) == ("", False, "NaCl")
    assert crystal_facts(CrystalBatch.empty()) == []


# ---- samples


def test_a_sample_keeps_the_tokens_of_its_last_attempt_and_draw():
    sample = Sample("asked")
    for event in (
        token("Li2", "composition"), token("Sr1", "composition", draw=1),
        Sentence(0, "composition", "Sr1", "asked and grown"), token("4"), token(".0"),
    ):  # fmt: skip
        sample.take(event)
    assert [t.text for t in sample.tokens] == ["Sr1", "4", ".0"]
    assert sample.prompt == "asked and grown"
    sample.take(Rejected(0, 0, "crystal", "no end within 2 tokens"))
    sample.take(token("Ba1", "composition", attempt=1))
    assert [t.text for t in sample.tokens] == ["Ba1"] and sample.attempt == 1
    assert sample.rejected == ["no end within 2 tokens"]


def test_a_sample_has_facts_of_what_there_is():
    sample = Sample()
    assert sample.best is None
    sample.take(Drawn(0, 0, "", CLASH))
    assert sample.best.fault and sample.refined is None
    sample.take(Refined(0, CLASH, Trajectory.from_frames([0, 1], [CLASH, CLASH.replace(
        frac_coords=SALT.frac_coords)])))  # fmt: skip
    assert sample.best.fault == "" and sample.facts[0].fault
    assert sample.refined.ids.tolist() == ["clash"]


def test_events_reach_their_own_sample():
    one = Try(1, SETTINGS)
    one.take(Asked(2, Conditions(), "other"))
    one.take(Refined(1, SALT, way(SALT)))
    assert [s.prompt for s in one.samples] == [SETTINGS.prompt, SETTINGS.prompt, "other"]
    assert one.refined.ids.tolist() == ["salt"] and one.trajectory.num_crystals == 1
    assert one.counts() == (1, 1, 1)
    assert Try(1, SETTINGS).trajectory is None


def test_the_table_shows_settings_and_counts():
    one = Try(
        1,
        replace(
            SETTINGS,
            prompt=build_prompt(Conditions(formula="NaCl")),
            sampling=SamplingSettings(noise=0.05),
        ),
    )
    carry_out(Shelf(SALT, CLASH, SALT), one, Stop())
    half = Try(2, replace(SETTINGS, refinement=RefineSettings(symprec=0.1)), state="cancelled")
    half.take(Drawn(0, 0, "", SALT))
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in table([one, half])]
    assert rows[0]["Asked for"] == "The chemical formula is NaCl." and rows[0]["Noise"] == "0.05"
    assert (rows[0]["Valid"], rows[0]["Formulas"]) == ("2/3", "1")
    assert [row["Symprec"] for row in rows] == ["off", "0.1"]
    assert rows[1]["Asked for"] == "anything"
    assert (rows[1]["Valid"], rows[1]["State"]) == ("1/1 of 3", "cancelled")
    assert table([Try(3, SETTINGS)])[0][COLUMNS.index("Valid")] == "none of 3"


# ---- models at work


def test_a_model_that_only_generates_is_asked_with_the_settings():
    shelf, one = Shelf(SALT, ODD), Try(1, replace(SETTINGS, seed=4, sampling=SamplingSettings(1.1)))
    carry_out(shelf, one, Stop())
    assert shelf.asked == [(3, [SETTINGS.prompt], 4, 1.1, 2)]
    assert [s.best.formula for s in one.samples] == ["NaCl", "NaF2", "NaCl"]
    assert all(not s.tokens for s in one.samples)


def test_a_model_that_keeps_its_way_to_itself_is_shown_without():
    one = Try(1, SETTINGS)
    model = SimpleNamespace(generate=lambda **_: SimpleNamespace(refined=SALT))
    carry_out(model, one, Stop())
    assert one.samples[0].prior is None and one.samples[0].facts[1].formula == "NaCl"
    assert one.samples[1].refined is None  # it gave fewer than were asked for


def test_flowllm_streams_what_it_would_generate(system):
    one, told = Try(1, SETTINGS), []
    carry_out(system, one, Stop(), told.append)
    made = system.generate(
        3, prompts=[SETTINGS.prompt], sampling=SETTINGS.sampling, refinement=SETTINGS.refinement
    )
    assert np.array_equal(one.refined.frac_coords, made.refined.frac_coords)
    assert np.array_equal(one.trajectory.lengths, made.trajectory.lengths)
    assert len(one.trajectory) == SETTINGS.refinement.steps + 1
    assert sum(isinstance(event, Token) for event in told) >= sum(
        len(s.tokens) for s in one.samples
    )
    assert all(s.tokens[-1].end for s in one.samples)


def test_a_stop_ends_a_stream_at_the_next_event(system):
    one, stop, told = Try(1, SETTINGS), Stop(), []

    def tell(event):
        told.append(event)
        if sum(isinstance(e, Token) for e in told) == 4:
            stop.set()

    with pytest.raises(Cancelled):
        carry_out(system, one, stop, tell)
    assert sum(isinstance(e, Token) for e in told) == 4


def test_a_model_that_cannot_be_interrupted_is_left_to_itself():
    release, stop = threading.Event(), Stop()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Cancelled):
        patiently(lambda: release.wait(60), stop)
    assert not release.is_set()
    release.set()


def test_the_error_of_a_model_comes_out():
    def fail():
        raise ZeroDivisionError("as it was raised")

    with pytest.raises(ZeroDivisionError, match="as it was raised"):
        patiently(fail, Stop())
    assert patiently(lambda: "result", Stop()) == "result"


# ---- sweeps


def test_temperatures_are_spread_evenly():
    assert temperatures(0.4, 1.6, 4) == [0.4, 0.8, 1.2, 1.6]
    for bad in ((1.0, 1.0, 3), (0.0, 1.0, 3), (1.0, 0.5, 3), (0.5, 1.0, 1)):
        with pytest.raises(InputError):
            temperatures(*bad)


def test_a_point_counts_what_is_there():
    one = Try(0, replace(SETTINGS, num=4))
    carry_out(Shelf(SALT, SALT.replace(ids=["again"]), CLASH, ODD), one, Stop())
    point = point_of(0.7, one)
    assert (point.num, point.structure, point.composition) == (4, 0.75, 0.75)
    assert point.formulas == 0.5  # NaCl and NaF2
    assert point.unique == 0.75  # the second salt is the first
    assert point.nary == (0, 4, 0, 0, 0)
    with pytest.raises(InputError, match="no crystal"):
        point_of(0.7, Try(0, SETTINGS))


def test_a_sweep_tells_of_each_temperature_and_changes_nothing_else():
    shelf, points = Shelf(SALT), []
    sweep(shelf, SETTINGS, [0.5, 1.5], Stop(), points.append)
    assert [p.temperature for p in points] == [0.5, 1.5]
    assert [asked[3] for asked in shelf.asked] == [0.5, 1.5]
    assert len({(*asked[:1], *asked[2:3], asked[4]) for asked in shelf.asked}) == 1


def test_a_sweep_can_be_stopped_between_temperatures():
    stop, points = Stop(), []

    def told(point):
        points.append(point)
        stop.set()

    with pytest.raises(Cancelled):
        sweep(Shelf(SALT), SETTINGS, [0.5, 1.0, 1.5], stop, told)
    assert len(points) == 1


def test_the_chart_shows_the_points_in_order():
    points = [
        Point(1.5, 4, 0.5, 0.25, 1.0, 1.0, (1, 1, 1, 1, 0)),
        Point(0.5, 2, 1.0, 0.5, 0.5, 0.5, (0, 0, 2, 0, 0)),
    ]
    figure, values = sweep_figure(), sweep_values(points)
    assert len(figure.data) == len(values)
    named = dict(zip([trace.name for trace in figure.data], values, strict=True))
    assert named["structure"] == ([0.5, 1.5], [1.0, 0.5])
    assert named["composition"] == ([0.5, 1.5], [0.5, 0.25])
    assert named["3"] == ([0.5, 1.5], [1.0, 0.25]) and named["5+"][1] == [0.0, 0.0]
    bars = [y for name, (_, y) in named.items() if name[0].isdigit()]
    assert np.allclose(np.sum(bars, 0), 1)
    assert sweep_values([])[0] == ([], [])
    legends = {trace.legend for trace in figure.data}
    assert legends == {"legend", "legend2", "legend3"}


# ---- tokens for the browser


def test_the_chart_of_a_sweep_has_intervals_and_a_tick_below_each_bar():
    points = [Point(t, 8, 0.5, 1.0, 0.0, 0.25, (8, 0, 0, 0, 0)) for t in (1.2, 0.4, 0.8)]
    assert sweep_ticks(points) == {"tickvals": [0.4, 0.8, 1.2], "ticktext": ["0.4", "0.8", "1.2"]}
    names = ("structure", "composition", "formulas", "unique")
    reach = dict(zip(names, sweep_errors(points), strict=True))
    # Wilson, 4 of 8: 0.215 to 0.785; 8 of 8: 0.676 to 1
    assert reach["structure"]["array"] == pytest.approx([0.285] * 3, abs=1e-3)
    assert reach["structure"]["arrayminus"] == pytest.approx([0.285] * 3, abs=1e-3)
    assert reach["composition"]["array"] == pytest.approx([0] * 3, abs=1e-9)
    assert reach["composition"]["arrayminus"] == pytest.approx([0.324] * 3, abs=1e-3)
    assert reach["formulas"]["arrayminus"] == pytest.approx([0] * 3, abs=1e-9)


def test_a_token_is_always_among_its_alternatives(system):
    tokens = [e for e in system.stream(2, alternatives=2) if isinstance(e, Token)]
    assert any(t.text not in {a.text for a in t.alternatives} for t in tokens)
    for one in tokens:
        stem, text, probability, raw, others = encode(one)
        assert bool(stem) == (one.part != "crystal") and len(others) <= 2
        assert [text, probability, raw] in others


def test_a_stream_of_tokens_is_named_by_its_key():
    stream = TokenStream()
    assert stream.shown == {"key": "", "tokens": []}
    stream.show("1/0", [token("4"), token(".0")])
    assert stream.shown["key"] == "1/0" and [t[1] for t in stream.shown["tokens"]] == ["4", ".0"]


def test_a_table_has_columns_for_the_settings_of_other_parts():
    @dataclass(frozen=True)
    class Other:
        depth_of_field: float = 2.5
        on: bool = True
        secret: int = setting(1, form=False)

    assert columns(Other, None)[2:-4] == ("Depth of field", "On")
    assert COLUMNS[2:-4] == ("τ", "P", "Noise", "τ of composition", "Steps", "Symprec")
    (row,) = table([Try(1, Settings("p", Other(), None))])
    assert row[2:4] == ["2.5", "True"] and len(row) == len(columns(Other, None))


def test_nothing_is_heard_of_a_model_after_it_was_left(monkeypatch):
    late, stop, told = threading.Event(), Stop(), []

    def generate(**_):
        late.wait(60)
        return SimpleNamespace(refined=SALT)

    one = Try(1, SETTINGS)
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Cancelled):
        carry_out(SimpleNamespace(generate=generate), one, stop, told.append)
    late.set()
    time.sleep(0.1)
    assert one.counts() == (0, 0, 0) and told == []

"""The page: self-contained, complete, escaped, small."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.bins import histograms
from flowllm.viz.page import named_values, render, script_json, table, tiles
from flowllm.viz.run_page import Neighbour, write_report
from tests.viz.conftest import PEROVSKITE


@pytest.fixture
def page(tmp_path, report_inputs):
    write_report(
        tmp_path / "report.html", **report_inputs, reference=histograms(report_inputs["refined"])
    )
    return (tmp_path / "report.html").read_text("utf-8")


def markup(page):
    """The page without the text of its scripts and styles."""
    return re.sub(r"<(script|style)([^>]*)>.*?</\1>", r"<\1\2></\1>", page, flags=re.S)


def test_nothing_is_loaded_and_the_page_is_small(page):
    assert re.findall(r"(?:src|href|srcset|poster)\s*=", markup(page)) == []
    style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
    assert "url(" not in style and "@import" not in style
    assert page.count("plotly.js v") == 1
    assert len(page.encode()) < 6e6


def test_figures_are_json_with_the_computed_numbers(page, report_inputs):
    found = dict(
        re.findall(r'<script type="application/json" data-figure="([^"]+)">(.*?)</script>', page)
    )
    assert set(found) == {"density", "n_elements", "num_atoms", "path"}
    bars = json.loads(found["n_elements"])["data"][-1]
    assert bars["name"] == "refined"
    import base64

    values = np.frombuffer(base64.b64decode(bars["y"]["bdata"]), bars["y"]["dtype"])
    expected = 100 * np.array(histograms(report_inputs["refined"])["n_elements"])
    np.testing.assert_allclose(values, expected)


def test_tables_tiles_and_settings(page):
    text = markup(page)
    assert "<h1>Three &lt;crystals&gt; &amp; more</h1>" in text
    assert "<td>language model</td><td>3</td><td>0</td><td>1.25</td>" in text
    assert "<dt>temperature</dt><dd>0.7</dd>" in text
    assert "<dd>66.7 %<small>SMACT" in text


def crystals_of(page):
    """What the table of crystals gets."""
    found = re.search(r'<script type="application/json" id="crystal-data">(.*?)</script>', page)
    return json.loads(found.group(1))


def test_every_crystal_stands_with_what_is_said_of_it(page):
    data = crystals_of(page)
    assert data["values"]["symbol"] == ["Pm-3m", "Fm-3m", "Fm-3m"]
    assert data["values"]["prompt"][0] == "The chemical formula is <b>."
    assert "prompt" in [column["name"] for column in data["columns"]]
    facts = dict(data["shown"]["0"]["facts"])
    assert facts["space group"] == "Pm-3m (221)"
    assert facts["cell"] == "3.90 3.90 3.90 Å, 90.0 90.0 90.0 °"
    assert facts["density"] == "5.14 g/cm³"  # of SrTiO3 with a = 3.90 Å, 183.5 u
    assert sorted(data["chosen"]) == [0, 1, 2] and data["first"] in data["chosen"]


def test_a_known_crystal_stands_beside(tmp_path, report_inputs):
    near = {
        1: Neighbour("= NaCl (mp-1)", "NaCl, Fm-3m: the same crystal.", report_inputs["refined"][1])
    }
    write_report(tmp_path / "r.html", **report_inputs, nearest=near)
    data = crystals_of((tmp_path / "r.html").read_text("utf-8"))
    assert data["values"]["nearest"] == [None, "= NaCl (mp-1)", None]
    heading, text, drawing = data["shown"]["1"]["beside"]
    assert (heading, text) == ("Nearest known crystal", "NaCl, Fm-3m: the same crystal.")
    assert drawing["numbers"] == [11, 17]
    assert "beside" not in data["shown"]["0"]


def test_crystals_with_atoms_too_close_are_not_shown_first(tmp_path, report_inputs):
    coords = report_inputs["refined"].frac_coords.copy()
    coords[2] = coords[1] + 0.2  # an oxygen beside titanium
    close = report_inputs["refined"].replace(frac_coords=coords)
    inputs = report_inputs | {"refined": close, "trajectories": None}
    write_report(tmp_path / "r.html", **inputs)
    text = (tmp_path / "r.html").read_text("utf-8")
    assert crystals_of(text)["first"] in (1, 2)
    assert "<dt>atoms too close</dt><dd>33.3 %<small>" in markup(text)


def test_a_way_that_begins_flat_shows_its_end(tmp_path, report_inputs):
    flat = report_inputs["prior"].angles.copy()
    flat[1] = 60, 60, 120
    begun = report_inputs["prior"].replace(angles=flat)
    way = Trajectory.from_frames([0.0, 1.0], [begun, report_inputs["refined"]])
    write_report(tmp_path / "r.html", **report_inputs | {"prior": begun, "trajectories": way})
    shown = crystals_of((tmp_path / "r.html").read_text("utf-8"))["shown"]
    assert [len(shown[row]["drawing"]["cells"]) for row in "012"] == [2, 1, 2]


def test_the_lead_names_the_parts_that_made_the_crystals(page, report_inputs):
    names = ", then ".join(row["stage"] for row in report_inputs["stages"])
    assert names and f"{len(report_inputs['refined'])} crystals by {names}." in markup(page)


def test_crystals_that_no_stage_made_have_no_table_of_stages(tmp_path, page, report_inputs):
    write_report(tmp_path / "r.html", **report_inputs | {"stages": []})
    text = markup((tmp_path / "r.html").read_text("utf-8"))
    assert ">Stages<" in markup(page) and ">Stages<" not in text and "3 crystals." in text


def test_an_empty_run_still_makes_a_page(tmp_path, report_inputs):
    nothing = CrystalBatch.empty()
    inputs = report_inputs | {
        "prior": nothing,
        "refined": nothing,
        "rows": [],
        "trajectories": None,
    }
    write_report(tmp_path / "r.html", **inputs)
    assert "0 crystals" in (tmp_path / "r.html").read_text("utf-8")


def test_long_tables_are_cut_and_say_so(tmp_path, monkeypatch, report_inputs):
    monkeypatch.setattr("flowllm.viz.run_page.ROWS", 2)
    write_report(tmp_path / "r.html", **report_inputs)
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "The first 2 of 3." in markup(text)
    assert crystals_of(text)["values"]["id"] == ["a", "b"]


def test_three_hundred_crystals_stay_within_six_megabytes(tmp_path, report_inputs):
    one = PEROVSKITE
    many = CrystalBatch.concatenate([one.replace(ids=[f"n{i}"]) for i in range(320)])
    rows = [report_inputs["rows"][0] | {"id": f"n{i}"} for i in range(320)]
    way = Trajectory.from_frames(np.linspace(0, 1, 6), [many] * 6)
    inputs = report_inputs | {"prior": many, "refined": many, "rows": rows, "trajectories": way}
    write_report(tmp_path / "r.html", **inputs)
    assert (tmp_path / "r.html").stat().st_size < 6e6
    shown = crystals_of((tmp_path / "r.html").read_text("utf-8"))["shown"]
    assert len(shown) == 300


@given(st.text() | st.sampled_from(["</script>", "<!--<script>", "]]>"]))
def test_no_text_leaves_its_script_element(text):
    written = script_json({"id": text})
    assert "<" not in written
    assert json.loads(written) == {"id": text}


def test_a_number_that_json_lacks_is_no_content_of_a_page():
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])


def test_sections_escape_what_they_are_given():
    bad, escaped = "<i>&'", "&lt;i&gt;&amp;&#39;"
    for section in (
        tiles([(bad, bad, bad)]),
        named_values(bad, [(bad, {bad: bad})]),
        table(bad, "name", [{bad: bad}], [bad], bad),
    ):
        assert isinstance(section, Markup) and section.count(escaped) >= 3
        assert "<i>" not in section
    page = markup(render(bad, bad, [bad]))  # a section that is no markup is text
    assert "<i>" not in page and page.count(escaped) == 4


def test_flags_numbers_and_texts_of_numpy_are_told_apart():
    row = {"a": np.bool_(True), "b": np.float32(1.23456), "c": np.int64(7), "d": "x"}
    section = table("Rows", "rows", [row], ["a", "b", "c", "d", "e"])
    assert (
        '<td><span class="yes">✓ yes</span></td><td>1.23</td><td>7</td><td>x</td><td></td>'
        in section
    )


def test_no_json_of_a_page_opens_a_comment_or_ends_its_element(tmp_path, report_inputs):
    """`<!--<script>` in a JSON block would swallow the rest of the page."""
    evil = "<!--<script></script>"
    refined = report_inputs["refined"]
    names = [evil, *refined.ids[1:]]
    inputs = {
        **report_inputs,
        "refined": refined.replace(ids=names),
        "rows": [{**row, "id": n} for row, n in zip(report_inputs["rows"], names, strict=True)],
    }
    write_report(tmp_path / "r.html", **inputs)
    page = (tmp_path / "r.html").read_text("utf-8")
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert blocks and all("<" not in block and json.loads(block) for block in blocks)
    assert evil not in page and crystals_of(page)["values"]["id"][0] == evil

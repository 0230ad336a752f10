"""The page: self-contained, complete, escaped, small."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from flowllm.crystals.batch import CrystalBatch
from flowllm.viz.bins import histograms
from flowllm.viz.page import named_values, render, script_json, table, tiles
from flowllm.viz.run_page import write_report


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
    assert len(page.encode()) < 8e6


def test_figures_are_json_with_the_computed_numbers(page, report_inputs):
    found = dict(
        re.findall(r'<script type="application/json" data-figure="([^"]+)">(.*?)</script>', page)
    )
    assert set(found) == {
        "crystal-0",
        "crystal-1",
        "crystal-2",
        "density",
        "n_elements",
        "num_atoms",
        "path",
    }
    bars = json.loads(found["n_elements"])["data"][-1]
    assert bars["name"] == "refined"
    import base64

    values = np.frombuffer(base64.b64decode(bars["y"]["bdata"]), bars["y"]["dtype"])
    expected = 100 * np.array(histograms(report_inputs["refined"])["n_elements"])
    np.testing.assert_allclose(values, expected)
    scenes = json.loads(found["crystal-0"])["layout"]
    assert {"scene", "scene2"} <= set(scenes)


def test_tables_tiles_and_settings(page):
    text = markup(page)
    assert "<h1>Three &lt;crystals&gt; &amp; more</h1>" in text
    assert "The chemical formula is &lt;b&gt;." in text and "is <b>." not in text
    assert "<td>language model</td><td>3</td><td>0</td><td>1.25</td>" in text
    assert "<dt>temperature</dt><dd>0.7</dd>" in text
    assert text.count('<span class="no">') == 1
    assert "<dd>66.7 %</dd><small>SMACT" in text
    assert "SrTiO<sub>3</sub>" in text


def test_crystals_without_a_start_and_flat_starts_are_drawn_alone(tmp_path, report_inputs):
    flat = report_inputs["prior"].angles.copy()
    flat[1] = 60, 60, 120
    inputs = report_inputs | {
        "prior": report_inputs["prior"].replace(angles=flat, ids=["a", "b", "other"]),
        "trajectories": None,
    }
    write_report(tmp_path / "r.html", **inputs)
    text = markup((tmp_path / "r.html").read_text("utf-8"))
    assert text.count("<span>before</span>") == 1
    assert 'id="path"' not in text


def test_the_lead_names_the_parts_that_made_the_crystals(page, report_inputs):
    names = ", then ".join(row["stage"] for row in report_inputs["stages"])
    assert names and f"{len(report_inputs['refined'])} crystals by {names}." in markup(page)


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


def test_long_tables_are_cut_and_say_so(tmp_path, report_inputs):
    row = report_inputs["rows"][0]
    inputs = report_inputs | {"rows": [row | {"id": f"n{i}"} for i in range(700)]}
    write_report(tmp_path / "r.html", **inputs, shown=0)
    text = markup((tmp_path / "r.html").read_text("utf-8"))
    assert "The first 500 of 700." in text and text.count("<td>n") == 500


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
        table(bad, "name", [{bad: bad}], [bad], bad, bad),
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
    assert evil not in page and "&lt;!--&lt;script&gt;" in page

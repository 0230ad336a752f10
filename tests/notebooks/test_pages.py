"""`make pages`: charts stay alive, 3-D views leave a still, nothing needs a kernel."""

import json
import re
import runpy
from pathlib import Path

import ipywidgets
import nbformat
import pandas as pd
import plotly.graph_objects as go
import pytest

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "pages.py"
SOURCES = [
    "import plotly.express as px\npx.scatter(x=[1, 2], y=[3, 4], title='a chart')",
    "from pymatgen.core import Lattice, Structure\n"
    "from flowllm.data import reduce_structure\n"
    "from flowllm_widgets import StructureView\n"
    "salt = Structure.from_spacegroup('Fm-3m', Lattice.cubic(5.64), ['Na', 'Cl'],"
    " [[0, 0, 0], [0.5, 0.5, 0.5]])\n"
    "StructureView(reduce_structure(salt, 'salt'), 'rock salt <2 atoms>')",
    "import sys\nprint('noise', file=sys.stderr)\nprint('kept')",
]


@pytest.fixture(scope="module")
def recipe():
    return runpy.run_path(str(RECIPE), run_name="recipe")


def write_notebook(path, sources):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# 42 · A title\n\nA *first* paragraph, [next](00_x.ipynb)."),
        *map(nbformat.v4.new_code_cell, sources),
    ]
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def pages(recipe, tmp_path_factory):
    """The pages of one small notebook."""
    folder = tmp_path_factory.mktemp("pages")
    write_notebook(folder / "42_try.ipynb", SOURCES)
    assert recipe["write"]([folder / "42_try.ipynb"], folder / "out") == []
    return folder / "out"


def test_the_page_keeps_a_live_chart_and_a_still(pages):
    text = (pages / "42_try.html").read_text()
    assert text.count("Plotly.newPlot(") == 1 and "a chart" in text
    assert "<svg" in text.split("a chart")[-1]  # the structure, behind the chart
    assert "rock salt &lt;2 atoms&gt;" in text
    assert "kept" in text and "noise" not in re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert 'href="00_x.html"' in text


def test_the_page_asks_for_plotly_beside_it_and_for_no_widgets(pages):
    text = (pages / "42_try.html").read_text()
    assert '<script src="plotly.min.js"></script>' in text
    assert (pages / "plotly.min.js").stat().st_size > 1e6
    scripts = re.findall(r'<script[^>]*src="(https?:[^"]+)"', text)
    assert not [s for s in scripts if "mathjax" not in s.lower()]
    assert "jupyter.widget-view" not in text


def test_the_site_makes_a_tutorial_of_what_was_executed(pages, monkeypatch):
    from recipes import docs_hooks

    monkeypatch.setattr(docs_hooks, "EXECUTED", pages / "executed")
    text = docs_hooks.notebook_page("notebooks/42_try.ipynb")
    assert text.startswith("# 42 · A title\n") and "```python\n1 + 1" not in text
    places = re.findall(r'<div id="(out-42_try-\d)"></div>', text)
    assert len(places) == 3
    shown = docs_hooks.on_page_content("".join(f'<div id="{place}"></div>' for place in places))
    assert "Plotly.newPlot(" in shown and "<svg" in shown and "kept" in shown
    assert "noise" not in shown and '<script src="../assets/plotly.min.js">' in text


def test_the_index_lists_titles_and_first_paragraphs(pages):
    text = (pages / "index.html").read_text()
    assert '<a href="42_try.html">42 · A title</a>' in text
    assert "A first paragraph, next." in text


def test_a_failing_cell_is_named_and_the_rest_is_written(recipe, tmp_path):
    write_notebook(tmp_path / "1_bad.ipynb", ["raise ValueError('on purpose')"])
    write_notebook(tmp_path / "2_good.ipynb", ["1 + 1"])
    failed = recipe["write"](sorted(tmp_path.glob("*.ipynb")), tmp_path / "out")
    assert len(failed) == 1 and "1_bad.ipynb" in failed[0] and "on purpose" in failed[0]
    assert sorted(p.name for p in (tmp_path / "out").glob("*.html")) == [
        "2_good.html",
        "index.html",
    ]


def test_a_cell_that_takes_too_long_and_a_kernel_that_dies_are_named(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(recipe["execute"].__globals__, "TIMEOUT", 2)
    write_notebook(tmp_path / "1_slow.ipynb", ["import time\ntime.sleep(60)"])
    write_notebook(tmp_path / "2_dead.ipynb", ["import os\nos._exit(1)"])
    failed = recipe["write"](sorted(tmp_path.glob("*.ipynb")), tmp_path / "out")
    assert "1_slow.ipynb" in failed[0] and "2_dead.ipynb" in failed[1]


def test_a_widget_is_written_down_with_what_it_holds(recipe):
    hidden = ipywidgets.HTML("<i>hidden</i>")
    hidden.layout.display = "none"
    figure = go.FigureWidget(go.Scatter(y=[1, 5]))
    slider = ipywidgets.FloatSlider(0.25, description="threshold")
    tree = ipywidgets.VBox(
        [
            ipywidgets.HBox([slider, ipywidgets.Button(description="Go"), figure]),
            ipywidgets.HTML("<b>shown</b>"),
            ipywidgets.Stack([ipywidgets.HTML("first"), ipywidgets.HTML("second")],
                             selected_index=1),
            hidden,
        ]
    )  # fmt: skip
    text = recipe["static_html"](tree)
    assert "Plotly.newPlot(" in text and "threshold <b>0.25</b>" in text
    assert "<b>shown</b>" in text and "second" in text
    assert not any(word in text for word in ("hidden", "first", "Go"))


def test_a_long_table_is_cut_and_says_so(recipe):
    table = ipywidgets.VBox()
    table.rows = pd.DataFrame({"formula": [f"X{i}" for i in range(25)]})
    text = recipe["static_html"](table)
    assert text.count("<tr") == 11 and "The first 10 of 25 rows" in text


def test_curves_of_a_trajectory_keep_titles_and_units(recipe):
    from flowllm_widgets import TrajectoryViewer
    from tests.widgets.trajectory_samples import triclinic

    viewer = TrajectoryViewer(triclinic(8), renderer="flat")
    viewer.frame = 3
    text = recipe["static_html"](viewer)
    distance = viewer.curves.shortest_distance[3]
    for words in (
        f"shortest distance \\u003cb\\u003e{distance:.2f} ",
        "volume",
        "speed of atoms",
        "speed of lattice",
        " per t",
        "CHGNet energy",
    ):
        assert words in text, words


def test_the_still_of_a_notebook_is_no_second_picture_on_its_page(pages):
    text = (pages / "42_try.html").read_text()
    assert text.count('aria-label="crystal"') == 1
    assert 'class="flowllm-still' not in text and "A picture of the widget" not in text


def test_a_bar_of_progress_leaves_nothing(recipe):
    from tqdm.notebook import tqdm_notebook

    bar = tqdm_notebook(total=3, desc="Loading", display=False)
    bar.update(3)
    assert recipe["static_html"](bar.container) == ""
    notebook = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("display_data", {recipe["WIDGET"]: {"model_id": "m"}})
    notebook.cells = [nbformat.v4.new_code_cell(outputs=[output])]
    recipe["make_static"](notebook, {"m": ""})
    assert notebook.cells[0].outputs[0]["data"] == {"text/html": ""}
    assert "model_id" not in json.dumps(notebook)

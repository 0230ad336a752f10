"""Every notebook in a real JupyterLab: it runs from top to bottom in a clean kernel, without a
download, and no error stands in a cell, in the console, in a widget.
"""

import shutil
from pathlib import Path

import pytest

from tests.browser.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
CELLS = "window.jupyterapp.shell.currentWidget.content.widgets.length"
# Bring a cell into view, so that JupyterLab draws its output: how many widgets its outputs are, how
# many are drawn, and what is said of those that cannot be; null as long as it is not in view.
SHOW = """async (index) => {
  const content = window.jupyterapp.shell.currentWidget.content;
  await content.scrollToItem(index, 'start');
  const cell = content.widgets[index];
  if (!cell.isAttached) return null;
  if (cell.model.type !== 'code') return { widgets: 0, drawn: 0, broken: [] };
  const outputs = [...cell.node.querySelectorAll('.jp-OutputArea-output')];
  const broken = [...cell.node.querySelectorAll('.jupyter-widgets-error-widget')];
  return {
    widgets: cell.model.sharedModel.outputs.filter(
      (o) => o.data && 'application/vnd.jupyter.widget-view+json' in o.data).length,
    drawn: outputs.filter((o) => o.querySelector('.jupyter-widgets > *')).length,
    broken: broken.map((el) => el.innerText),
  };
}"""


# What code cells were counted as, and the mime types of all that they gave.
RAN = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.widgets
    .filter((cell) => cell.model.type === 'code');
  const outputs = cells.flatMap((cell) => cell.model.sharedModel.outputs);
  return {
    counts: cells.map((cell) => cell.model.executionCount),
    kinds: outputs.flatMap((output) => Object.keys(output.data ?? {})),
  };
}"""
FIGURES = {"application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json"}


@pytest.mark.parametrize("source", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_it_runs_and_its_widgets_are_drawn(source, open_notebook, lab_server, data_dir):
    _, _, root = lab_server
    shutil.copyfile(source, root / source.name)
    opened = open_notebook(source.name)
    opened.run_all(timeout=400)
    ran = until(lambda: opened.page.evaluate(RAN))
    assert ran["counts"] == list(range(1, len(ran["counts"]) + 1))
    assert FIGURES & set(ran["kinds"])
    for index in range(until(lambda: opened.page.evaluate(CELLS))):
        cell = until(
            lambda index=index: opened.page.evaluate(SHOW, index),
            lambda now: now and (now["broken"] or now["drawn"] >= now["widgets"]),
        )
        assert cell["broken"] == []
    assert opened.cell_errors() == []
    assert opened.said == []

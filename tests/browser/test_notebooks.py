"""Every notebook in a real JupyterLab: no error in a cell, in the console, in a widget."""

import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
# Bring a cell into view, so that JupyterLab draws its output; true when it has.
SHOW = """async (index) => {
  const content = window.jupyterapp.shell.currentWidget.content;
  await content.scrollToItem(index, 'start');
  const cell = content.widgets[index];
  return cell.isAttached && cell.model.type;
}"""
VIEWS = """() => [...document.querySelectorAll('.jp-OutputArea-output .flowllm')]
  .filter((el) => !el.parentElement.closest('.flowllm')).length"""
BROKEN = """() => [...document.querySelectorAll('.jupyter-widgets-error-widget')]
  .map((el) => el.innerText)"""


@pytest.mark.parametrize("source", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_it_runs_and_its_widgets_are_drawn(source, open_notebook, lab_server, data_dir):
    _, _, root = lab_server
    shutil.copyfile(source, root / source.name)
    opened = open_notebook(source.name)
    opened.run_all(timeout=400)
    widgets = opened.page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
             .filter((c) => c.model.type === 'code')
             .filter((c) => c.model.sharedModel.outputs.some(
               (o) => o.data && 'application/vnd.jupyter.widget-view+json' in o.data)).length"""
    )
    count = opened.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    )
    seen = 0
    for index in range(count):
        opened.wait(SHOW, argument=index)
        seen = max(seen, opened.page.evaluate(VIEWS))
        assert opened.page.evaluate(BROKEN) == []
    assert seen > 0 or widgets == 0
    assert opened.cell_errors() == []
    assert opened.said == []

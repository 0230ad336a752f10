"""Notebooks run where there are no data, no cache and no network.

With data all of them run in `tests/browser/test_notebooks.py`, in a kernel of their own and shown.
"""

import pytest

from tests.notebooks.form import FOLDER

WITHOUT_DATA = ("00_quickstart", "01_data_and_tokenizer")


def texts(notebook) -> str:
    """All that the cells printed."""
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return "\n".join(o.text for o in outputs if o.get("name") == "stdout")


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_it_runs_with_no_data_folder_no_cache_and_no_network(name, run_notebook, monkeypatch):
    monkeypatch.delenv("FLOWLLM_DATA_DIR", raising=False)
    path = FOLDER / f"{name}.ipynb"
    before = path.read_bytes()
    assert "MP-20: the first" in texts(run_notebook(path))
    assert path.read_bytes() == before

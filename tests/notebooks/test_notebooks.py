"""Every notebook runs from top to bottom, with a data folder and, where it matters, without."""

import pytest

from tests.notebooks.form import FOLDER, PATHS

WITHOUT_DATA = ("00_quickstart", "01_data_and_tokenizer")


def texts(notebook) -> str:
    """All that the cells printed."""
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return "\n".join(o.text for o in outputs if o.get("name") == "stdout")


def kinds(notebook) -> set[str]:
    """The mime types of all outputs."""
    return {m for c in notebook.cells for o in c.get("outputs", []) for m in o.get("data", {})}


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_it_runs_in_a_clean_kernel(path, run_notebook):
    before = path.read_bytes()
    notebook = run_notebook(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert kinds(notebook) & {
        "application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json"
    }  # fmt: skip
    assert path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_it_runs_with_no_data_folder_no_cache_and_no_network(
    name, run_notebook, monkeypatch, tmp_path
):
    monkeypatch.delenv("FLOWLLM_DATA_DIR", raising=False)
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(tmp_path / "empty"))
    assert "MP-20: the first" in texts(run_notebook(FOLDER / f"{name}.ipynb"))

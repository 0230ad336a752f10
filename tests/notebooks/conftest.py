"""The runner of notebooks, and the environment in which they run."""

from __future__ import annotations

from pathlib import Path

import pytest

TIMEOUT = 240  # seconds for a cell, on a machine that does other things besides


@pytest.fixture
def run_notebook(monkeypatch, tmp_path, script_environment):
    """Runs a notebook by nbmake in a clean kernel of this interpreter; gives it executed.

    The cache is empty, and nothing can be downloaded.
    """
    from nbmake.nb_run import NotebookRun

    monkeypatch.setenv("FLOWLLM_SMOKE", "1")
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("PYTHONPATH", script_environment["PYTHONPATH"])
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))  # no one's own start-up files
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("no_proxy", raising=False)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # no one listens there

    def run(path: Path):
        result = NotebookRun(path, TIMEOUT).execute()
        assert result.error is None, result.error.trace
        return result.nb

    return run

"""A real Chromium. Where there is none, these tests are left out and the end of the run says so;
CI must have one, so there they are kept and fail.
"""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-angle=swiftshader "
    "--enable-unsafe-swiftshader --ignore-gpu-blocklist"
).split()
CHROMIUM = os.environ.get("FLOWLLM_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
START = {"executable_path": CHROMIUM, "args": FLAGS, "timeout": 180_000}
MISSING = [
    what
    for what, there in (
        ("Chromium (Debian: apt-get install chromium)", CHROMIUM),
        ("playwright (pip install playwright)", importlib.util.find_spec("playwright")),
    )
    if not there
]
LEFT_OUT = bool(MISSING) and os.environ.get("CI") != "true"
collect_ignore_glob = ["test_*.py"] if LEFT_OUT else []


def pytest_terminal_summary(terminalreporter):
    if LEFT_OUT:
        terminalreporter.write_line(
            f"tests/browser was left out: this machine has no {' and no '.join(MISSING)}"
        )


# For this folder only: Playwright's event loop counts as running in the main thread until it is
# stopped, and widgets that later tests make would hand their work to it.
@pytest.fixture(scope="package")
def launcher():
    """Playwright's launcher of Chromium."""
    assert not MISSING, f"CI must have {' and '.join(MISSING)}"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="package")
def chromium(launcher):
    """A headless browser that draws WebGL on the CPU."""
    browser = launcher.launch(**START)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def lab_server(tmp_path_factory):
    """A JupyterLab that all tests share: its address, its token and the folder that it shows."""
    from tests.browser.forked_kernel import forked_kernels
    from tests.browser.lab import lab_environment, server

    root = tmp_path_factory.mktemp("lab")
    environment = {**lab_environment(), "FLOWLLM_CACHE_DIR": str(root.parent / "lab-cache")}
    with (
        forked_kernels(tmp_path_factory.mktemp("kernels"), environment) as kernels,
        server(root, {**environment, "JUPYTER_PATH": str(kernels)}) as (address, token),
    ):
        yield address, token, root


@pytest.fixture(scope="package")
def lab_context(launcher, tmp_path_factory):
    """The browser's side of it, with a cache on disk: JupyterLab is fetched and compiled once."""
    context = launcher.launch_persistent_context(tmp_path_factory.mktemp("profile"), **START)
    yield context
    context.close()


@pytest.fixture
def open_notebook(lab_context, lab_server):
    """Opens notebooks in JupyterLab, see `lab.opener`; they are closed after the test."""
    from tests.browser.lab import opener

    closing = []
    yield opener(lab_context, *lab_server, closing)
    for close in closing:
        close()


@pytest.fixture
def picture(tmp_path):
    """Where a screenshot goes, to be looked at when something fails."""
    return lambda name: tmp_path / name

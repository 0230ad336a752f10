"""What `make lab` opens: the list of notebooks, and from a notebook the code that it links to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.browser.lab import lab_environment, server
from tests.browser.waiting import settled

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]


def options_of_make_lab() -> list[str]:
    """The options that the Makefile gives to JupyterLab."""
    recipe = re.search(r"^lab:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    words = shlex.split(recipe[1].replace("\\\n", " "))
    return words[words.index("lab") + 1 :]


def test_make_lab_lists_the_notebooks_and_their_links_open_the_code(
    chromium, tmp_path, monkeypatch
):
    options = options_of_make_lab()
    assert "--ServerApp.ip=127.0.0.1" in options  # this computer only
    monkeypatch.chdir(ROOT)  # as make does
    (tmp_path / "lab").mkdir()
    with server(tmp_path / "lab", lab_environment(), options) as (address, token):
        context = chromium.new_context()
        page = context.new_page()
        assert "login" in page.goto(f"{address}/lab").url  # not without the token
        page.goto(f"{address}/?token={token}", timeout=120_000)
        page.wait_for_url("**/lab/tree/notebooks*", timeout=120_000)
        page.locator(".jp-DirListing-item", has_text="00_quickstart.ipynb").wait_for()

        page.locator(".jp-DirListing-item", has_text="03_pairing.ipynb").dblclick()
        # JupyterLab takes a link over and gives it this address when it has found the file
        link = page.locator('.jp-RenderedMarkdown a[href*="/files/flowllm/"]').first
        address_of_code = settled(lambda: link.get_attribute("href"))
        link.click()
        path = re.search(r"flowllm/[\w/]+\.py", address_of_code)[0]
        first = (ROOT / path).read_text().splitlines()[0]
        page.locator(".jp-FileEditor .cm-line", has_text=first).first.wait_for()
        page.evaluate("window.jupyterapp?.serviceManager?.sessions?.shutdownAll()")
        context.close()

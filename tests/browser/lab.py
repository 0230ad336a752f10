"""A real JupyterLab for the tests: a server of its own, notebooks opened and run in Chromium."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.browser.forked_kernel import NAME as FORKED
from tests.browser.waiting import PATIENCE, picture_of, until

START = 90  # seconds that the server may take until it answers
QUIET = {
    "@jupyterlab/apputils-extension": {
        "notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False}
    },
}
# What the browser says about things that are none of the workbench's.
FOREIGN = (
    "favicon", "GPU stall due to ReadPixels", "Canvas2D", "WebGL-", "third-party cookie",
    "/api/kernels?",  # the server lists a kernel that just starts, and fails (its last_activity)
)  # fmt: skip


@contextmanager
def server(
    root: Path, environment: dict[str, str], options: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """JupyterLab on a free local port, with a token; gives its address and the token.

    Args:
        root: the folder it shows; beside it lie its settings and its log.
        environment: of the server and its kernels.
        options: of JupyterLab, where they matter; else it shows `root`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    private = root.parent / f"{root.name}-jupyter"
    for plugin, files in QUIET.items():
        for name, values in files.items():
            path = private / "user-settings" / plugin / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
    changes = {
        "JUPYTERLAB_SETTINGS_DIR": str(private / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(private / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(private / "runtime"),
        "JUPYTER_CONFIG_DIR": str(private / "config"),
        "IPYTHONDIR": str(private / "ipython"),
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        *(options or ("--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={root}")),
        "--LabApp.expose_app_in_browser=True", "--ServerApp.open_browser=False",
    ]  # fmt: skip
    log = (private / "server.log").open("w")
    process = subprocess.Popen(
        command, env={**environment, **changes}, stdout=log, stderr=subprocess.STDOUT
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(f"{address}/api/status?token={token}", process, private / "server.log")
        yield address, token
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, f"JupyterLab ended at once:\n{log.read_text()[-2000:]}"
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return True
        return False

    until(answers, timeout=START, what=lambda: f"JupyterLab answers: {log.read_text()[-2000:]}")


def notebook(cells: Sequence[str]) -> dict[str, Any]:
    """A notebook of code cells, as JSON; its kernel has the imports behind it."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": FORKED, "display_name": "Forked", "language": "python"}
        },
        "cells": [
            {
                "cell_type": "code", "id": f"cell-{number}", "metadata": {}, "outputs": [],
                "execution_count": None, "source": source,
            }
            for number, source in enumerate(cells)
        ],
    }  # fmt: skip


@dataclass
class OpenNotebook:
    """A notebook that is open in the browser; `page` is Playwright's.

    Attributes:
        page: the page.
        said: errors of the console and of the page's own scripts, so far.
    """

    page: Any
    said: list[str] = field(default_factory=list)

    def run_all(self, timeout: float = 180) -> None:
        """Run all cells and wait until the last has ended.

        Raises:
            AssertionError: a cell ended with an error, or not in time.
        """
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait(BUSY_TO_DONE, timeout)
        assert not (errors := self.cell_errors()), "\n".join(errors)

    def run(self, source: str, timeout: float = 60) -> str:
        """Run a line in the notebook's kernel, beside its cells, and return what it printed."""
        result = self.page.evaluate(RUN_ASIDE, [source, timeout * 1000])
        assert not result["error"], result["error"]
        return result["text"].strip()

    def until(self, expression: str, expected: object = True, timeout: float = PATIENCE) -> None:
        """Wait until an expression of the kernel prints as expected.

        What the page tells the kernel arrives some time later, on a busy machine much later.

        Raises:
            AssertionError: it does not in time; names what it was last.
        """
        until(
            lambda: self.run(f"print({expression})"), str(expected), timeout,
            what=lambda: expression,
        )  # fmt: skip

    def theme(self, name: str) -> None:
        """Change JupyterLab's theme, "JupyterLab Dark" or "JupyterLab Light", and wait for it."""
        self.page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
            name,
        )
        self.wait(THEMED, argument=name == "JupyterLab Light")

    def late(self, seconds: float = 5.0, modules: bool = False) -> None:
        """Let all code that widgets load arrive so much later, as from a far or busy server.

        Args:
            seconds: later.
            modules: also the code of the parts themselves, for which anywidget waits 2 s only.
        """
        self.page.evaluate(LATE_CODE, [seconds * 1000, modules])
        self.page.route("**/nglview-js-widgets/**", lambda route: _after(seconds, route))

    def slow(self, rate: float) -> None:
        """Let the page compute so many times slower, as on a busy machine; 1 is full speed."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": rate})

    def cell_errors(self) -> list[str]:
        """The errors with which cells ended."""
        return self.page.evaluate(CELL_ERRORS)

    def wait(self, script: str, timeout: float = PATIENCE, argument: Any = None) -> Any:
        """Wait until a JavaScript expression or function of the page is true; its value.

        While it throws, as one that asks something of an element that is not there yet, it is not.
        """
        return until(
            lambda: self.page.evaluate(script, argument), timeout=timeout, what=lambda: script
        )

    def shot(self, selector: str, path: Path | None = None) -> bytes:
        """A PNG of the first element that a selector names, when it has come to rest."""
        return picture_of(self.page.locator(selector).first, path)


# Every code cell has run, and the kernel waits for more.
BUSY_TO_DONE = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const cells = panel.content.widgets.filter((c) => c.model.type === 'code'
    && c.model.sharedModel.getSource().trim());
  const failed = cells.some((c) => c.model.sharedModel.outputs.some(
    (o) => o.output_type === 'error'));
  const idle = panel.sessionContext.session?.kernel?.status === 'idle';
  return idle && (failed || cells.every((c) => c.model.executionCount !== null
    && c.model.executionState !== 'running'));
}"""
CELL_ERRORS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((c) => c.model.type === 'code')
  .flatMap((c) => c.model.sharedModel.outputs)
  .filter((o) => o.output_type === 'error')
  .map((o) => o.ename + ': ' + o.evalue + '\\n' + o.traceback.join('\\n'))"""
# The theme is there, and its style sheet too, which on a busy machine comes seconds later.
THEMED = """(light) => {
  if (document.body.dataset.jpThemeLight !== String(light)) return false;
  const probe = document.createElement('div');
  probe.style.color = 'var(--jp-layout-color1)';
  document.body.append(probe);
  const shade = Number(getComputedStyle(probe).color.match(/[0-9.]+/)[0]);
  probe.remove();
  return light ? shade > 200 : shade < 60;
}"""
# plotly's 5 MB and the modules of widgets come through the kernel and are imported as blobs: each
# gets a module around it that waits.
LATE_CODE = """([wait, modules]) => {
  const make = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (blob) => {
    const address = make(blob);
    const large = blob.size > 1e6;
    if (blob.type !== 'text/javascript' || !(large || modules)) return address;
    const later = `await new Promise((done) => setTimeout(done, ${wait}));
      const all = await import('${address}');
      export const FigureModel = all.FigureModel, FigureView = all.FigureView;
      export default all.default;`;
    return make(new Blob([later], { type: 'text/javascript' }));
  };
}"""
SHUT_DOWN = """async () => {
  const session = window.jupyterapp.shell.currentWidget.sessionContext;
  await Promise.race([session.shutdown(), new Promise((done) => setTimeout(done, 5000))]);
}"""
RUN_ASIDE = """async ([code, limit]) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code, silent: false, store_history: false });
  const result = { text: '', error: '' };
  future.onIOPub = (message) => {
    const { content, header } = message;
    if (header.msg_type === 'stream') result.text += content.text;
    if (header.msg_type === 'execute_result') result.text += content.data['text/plain'];
    if (header.msg_type === 'error') result.error = content.traceback.join('\\n');
  };
  const late = new Promise((resolve) => setTimeout(() => {
    result.error = result.error || 'no answer in time';
    resolve();
  }, limit));
  await Promise.race([future.done, late]);
  return result;
}"""


def _after(seconds: float, route: Any) -> None:
    time.sleep(seconds)
    route.continue_()


def opener(
    context: Any, address: str, token: str, root: Path, closing: list[Callable[[], None]]
) -> Callable[..., OpenNotebook]:
    """A function that opens a notebook, by the source of its cells or its path under the root.

    All are pages of one context: what JupyterLab is made of is fetched and compiled once.
    """
    count = 0

    def open_notebook(
        cells: Sequence[str] | str, *, dark: bool = False, size: tuple[int, int] = (1280, 1000)
    ) -> OpenNotebook:
        nonlocal count
        if isinstance(cells, str):
            name = cells
        else:
            count += 1
            name = f"test-{count}.ipynb"
            (root / name).write_text(json.dumps(notebook(cells)))
        page = context.new_page()
        page.set_viewport_size({"width": size[0], "height": size[1]})

        def close() -> None:
            with suppress(Exception):  # a page that broke has told its test so
                page.evaluate(SHUT_DOWN)  # else each kernel stays, with its memory and its threads
            page.close()

        closing.append(close)
        page.set_default_timeout(60_000)
        opened = OpenNotebook(page)

        def console(message: Any) -> None:
            text = f"{message.text} ({message.location.get('url', '')})"
            if message.type == "error" and not any(part in text for part in FOREIGN):
                opened.said.append(text)

        page.on("console", console)
        page.on("pageerror", lambda error: opened.said.append(str(error)))
        page.goto(f"{address}/lab/tree/{name}?token={token}&reset", timeout=120_000)
        opened.wait(
            """window.jupyterapp?.shell?.currentWidget?.sessionContext
                 ?.session?.kernel?.status === 'idle'""",
            timeout=120,
        )
        page.evaluate("window.jupyterapp.commands.execute('application:set-mode', "
                      "{ mode: 'single-document' })")  # fmt: skip
        opened.theme("JupyterLab Dark" if dark else "JupyterLab Light")  # the server keeps the last
        return opened

    return open_notebook


def lab_environment() -> dict[str, str]:
    """The environment of server and kernels: this checkout is imported, notebooks run in short.

    Nothing can be downloaded.
    """
    here = Path(__file__).parents[2]
    places = [str(here), str(here / "widgets"), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, places))
    proxies = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    nowhere = dict.fromkeys(proxies, "http://127.0.0.1:9")  # no one listens there
    local = dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
    return {**os.environ, "PYTHONPATH": path, "FLOWLLM_SMOKE": "1", **nowhere, **local}

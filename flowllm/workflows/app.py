"""The server of `flowllm app`: Voilà serves a notebook, to this computer only, with a token."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowllm.errors import InputError
from flowllm.runs.terminal import say

HOST = "127.0.0.1"
PORTS = 50
"""That are tried, from the wanted one on."""
START, AGAIN = 120.0, 0.1
"""Seconds that the server may take until it answers, and between two looks."""
RUN, FOLDER = "FLOWLLM_APP_RUN", "FLOWLLM_APP_FOLDER"
"""What the notebook reads of its environment; `flowllm_widgets.app.widget` has the same names."""
EXTENSIONS = (
    "@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget",
    "jupyterlab-plotly", "nglview-js-widgets",
)  # fmt: skip
"""Of JupyterLab, that the widgets need; others are for a whole JupyterLab, and take time."""
MISSING = "flowllm app needs {what}; install it by: python -m pip install {package}"


@dataclass(frozen=True)
class AppServer:
    """A server to be started.

    Attributes:
        command: its words.
        environment: its variables, the token among them, so that no list of processes shows it.
        address: of its page, with the token.
    """

    command: Sequence[str]
    environment: dict[str, str]
    address: str


def plan_app(run: Path | None = None, port: int = 8866, dark: bool = False) -> AppServer:
    """The plan by which the app is served.

    Args:
        run: for its browser.
        port: the first that is tried.
        dark: the dark theme.

    Raises:
        InputError: Voilà or the widgets are missing, the run is, or no port is free.
    """
    if importlib.util.find_spec("voila") is None:
        raise InputError(MISSING.format(what="Voilà, which serves its page", package="voila"))
    notebook = _notebook()
    if run is not None and not run.exists():
        raise InputError(f"no such folder: {run}")
    chosen, token = _free_port(port), secrets.token_hex(24)
    environment = {**os.environ, "JUPYTER_TOKEN": token, FOLDER: str(Path.cwd())}
    environment.pop(RUN, None)
    paths = [str(notebook.parent / "share"), os.environ.get("JUPYTER_PATH", "")]
    environment["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    if run is not None:
        environment[RUN] = str(run.resolve())
    command = [
        sys.executable, "-m", "voila", str(notebook), f"--Voila.root_dir={notebook.parent}",
        f"--Voila.ip={HOST}", f"--port={chosen}", "--Voila.port_retries=0", "--no-browser",
        "--Voila.auto_token=True",  # which is that of the environment
        "--preheat_kernel=True", "--pool_size=1",  # the page is ready before it is asked for
        *(f"--VoilaConfiguration.extension_allowlist={name}" for name in EXTENSIONS),
        "--template=flowllm",
        f"--theme={'dark' if dark else 'light'}", "--Voila.log_level=ERROR",
    ]  # fmt: skip
    return AppServer(command, environment, f"http://{HOST}:{chosen}/?token={token}")


def serve_app(server: AppServer, browser: bool = True) -> None:
    """Serve the app until the process is interrupted.

    Args:
        server: of `plan_app`.
        browser: open the page.

    Raises:
        InputError: the server ends by itself, or does not answer.
    """
    process = subprocess.Popen(server.command, env=server.environment)
    usual = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _wait_until_up(server.address, process)
        say(f"The app is at {server.address}")
        say("Press Ctrl+C to stop it.")
        sys.stdout.flush()  # whoever reads it through a pipe waits for the address
        if browser:
            webbrowser.open(server.address)
        if code := process.wait():
            raise InputError(f"the app's server exited with code {code}; its messages are above")
    finally:
        signal.signal(signal.SIGTERM, usual)
        if process.poll() is None:
            process.terminate()
            process.wait()


def _notebook() -> Path:
    found = importlib.util.find_spec("flowllm_widgets")
    if found is None or not found.submodule_search_locations:
        raise InputError("flowllm app needs flowllm_widgets, which is installed with flowllm")
    return Path(found.submodule_search_locations[0]) / "app" / "FlowLLM.ipynb"


def _free_port(first: int) -> int:
    """The first free port from the wanted one on.

    Raises:
        InputError: it is not a port, or none is free.
    """
    if not 1 <= first <= 65535:
        raise InputError(f"--port must be from 1 to 65535, not {first}")
    last = min(first + PORTS, 65536)
    for port in range(first, last):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise InputError(f"no port from {first} to {last - 1} is free; choose another with --port")


def _wait_until_up(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until the server answered; its static files, since the page itself starts a kernel."""
    probe = address.split("?")[0] + "login"
    limit = time.monotonic() + START
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise InputError("the app's server exited at once; its messages are above")
        try:
            with urllib.request.urlopen(probe, timeout=5):
                return
        except urllib.error.HTTPError:  # it answers
            return
        except OSError:
            time.sleep(AGAIN)
    raise InputError(f"the app's server does not answer after {START:g} s")

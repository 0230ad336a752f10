"""`flowllm app`: how its server is called, and what is said where it cannot be."""

from __future__ import annotations

import importlib.util
import socket
import sys

import pytest

from flowllm.cli import main
from flowllm.errors import InputError
from flowllm.workflows import app as workflow
from flowllm.workflows.app import AppServer, plan_app, serve_app


def test_the_server_is_of_this_computer_and_its_token_stands_in_no_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWLLM_APP_RUN", "of another app")
    server = plan_app(port=9750)
    token = server.address.split("token=")[1]
    assert server.address.startswith("http://127.0.0.1:") and len(token) == 48
    assert "--Voila.ip=127.0.0.1" in server.command and token not in " ".join(server.command)
    assert server.environment["JUPYTER_TOKEN"] == token
    assert server.environment["FLOWLLM_APP_FOLDER"] == str(tmp_path)
    assert "FLOWLLM_APP_RUN" not in server.environment
    (tmp_path / "run").mkdir()
    assert plan_app(tmp_path / "run").environment["FLOWLLM_APP_RUN"] == str(tmp_path / "run")


def test_a_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--port={port}" not in plan_app(port=port).command


def test_a_missing_voila_is_named(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "voila" else find(name)
    )
    assert main(["app", "--no-browser"]) == 2
    assert "needs Voilà" in (said := capsys.readouterr().err) and "pip install voila" in said


@pytest.mark.parametrize(
    ("words", "said"), [(["--run", "nowhere"], "nowhere"), (["--port", "70000"], "70000")]
)
def test_bad_options_are_named(words, said, capsys):
    assert main(["app", "--no-browser", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_server_that_ends_at_once_is_an_error():
    ends = AppServer([sys.executable, "-c", "raise SystemExit(3)"], {}, "http://127.0.0.1:9/?x")
    with pytest.raises(InputError, match="exited at once"):
        serve_app(ends, browser=False)


def test_notebook_and_command_have_the_same_names():
    from flowllm_widgets.app import widget

    assert (widget.RUN, widget.FOLDER) == (workflow.RUN, workflow.FOLDER)
    assert workflow._notebook().is_file()

"""Kernels with the widgets imported already: forked from one process that imported them once.

A kernel of a test takes seconds of a processor for its imports, and some thirty tests start one.
Here one process (`host`) imports what the widgets need and has no thread; each kernel is a fork of
it. Jupyter starts `python forked_kernel.py attach SOCKET FILE` in its place, a small process that
asks for a fork and stands for it: it passes signals on, ends with it, and the fork ends with it.
The notebooks that ship are not run so: they keep Jupyter's own kernels. So does every notebook
where the system is not Linux, as nothing there waits for another's process, and forks are not safe.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CAN_FORK = hasattr(os, "pidfd_open")
NAME = "forked" if CAN_FORK else "python3"
IMPORTED = ("plotly.graph_objects", "nglview", "ipykernel.kernelapp")
LONGEST = 180  # seconds that the imports may take on a busy machine


@contextmanager
def forked_kernels(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Let kernels of the name `forked` be there; gives the folder for `JUPYTER_PATH`.

    Args:
        folder: where the socket and the kernel's description go.
        environment: of all kernels; what Jupyter adds to it for one of them is kept.
    """
    if not CAN_FORK:
        yield folder
        return
    here, address = str(Path(__file__).resolve()), str(folder / "kernels.socket")
    spec = folder / "kernels" / NAME
    spec.mkdir(parents=True)
    argv = [sys.executable, here, "attach", address, "{connection_file}"]
    described = {"argv": argv, "display_name": "Forked", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(described))
    log = folder / "kernels.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, here, "host", address], env=environment, stdout=file, stderr=file
        )
    try:
        limit = time.monotonic() + LONGEST
        while not Path(address).exists():
            assert process.poll() is None, f"no kernels: {log.read_text()[-2000:]}"
            assert time.monotonic() < limit, f"no kernels in {LONGEST} s"
            time.sleep(0.1)
        yield folder
    finally:
        process.terminate()
        process.wait()


def host(address: str) -> None:
    """Import once, then fork a kernel for each that asks at the socket."""
    import importlib

    # plotly looks at its import whether it is in a kernel: this is what it finds in JupyterLab's
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    for name in IMPORTED:
        importlib.import_module(name)
    import flowllm
    import flowllm_widgets

    for package in (flowllm, flowllm_widgets):
        for name in package.__all__:  # each loads its module
            getattr(package, name)
    flowllm.FlowLLM.from_pretrained(device="cpu")  # what else is imported on the way
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"{threads} threads: what is forked would have one of them"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{address}.new")
        door.listen()
        os.rename(f"{address}.new", address)  # only now it is there
        while True:
            caller, _ = door.accept()
            if os.fork() == 0:
                door.close()
                guard(caller)
            caller.close()


def guard(caller: socket.socket) -> None:
    """In the fork: start the kernel in a fork of its own, and end it when the caller is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with caller.makefile("r", encoding="utf-8") as lines:
        asked = json.loads(lines.readline())
    kernel = os.fork()
    if kernel == 0:
        caller.close()
        os.setsid()
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.environ.pop("JPY_PARENT_PID", None)  # Jupyter's child is the caller, not this process
        sys.argv = ["ipykernel_launcher", "-f", asked["file"]]
        sys.path[0] = ""
        from ipykernel import kernelapp

        kernelapp.launch_new_instance()
        os._exit(0)
    caller.sendall(f"{kernel}\n".encode())
    watched = os.pidfd_open(kernel)
    ended, _, _ = select.select([watched, caller], [], [])
    if watched not in ended:
        os.kill(kernel, signal.SIGKILL)
    _, status = os.waitpid(kernel, 0)
    with suppress(OSError):
        caller.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def attach(address: str, file: str) -> int:
    """What Jupyter starts: it stands for the kernel. Returns how the kernel ended."""
    asked = {"file": file, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(address)
        door.sendall(f"{json.dumps(asked)}\n".encode())
        answers = door.makefile("r", encoding="utf-8")
        kernel = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda which, _: os.kill(kernel, which))
        return abs(int(answers.readline() or 1))


if __name__ == "__main__":
    if sys.argv[1] == "host":
        host(sys.argv[2])
    else:
        sys.exit(attach(sys.argv[2], sys.argv[3]))

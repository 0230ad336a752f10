"""Devices by name, and threads for a while."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flowllm.errors import InputError
from flowllm.training.device import resolve_device, used_threads


def test_a_missing_device_is_refused():
    with pytest.raises(InputError, match="auto, cpu"):
        resolve_device("quantum")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")


def test_threads_are_as_before_afterwards():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), used_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
    with used_threads(0):
        assert torch.get_num_threads() == before


FORKED = """
import os, signal, sys
import torch
import flowllm.training.device
torch.set_num_threads(2)
values = torch.randn(4_000_000)
torch.nn.functional.gelu(values)
child = os.fork()
if not child:
    signal.alarm(30)
    torch.nn.functional.gelu(values)
    os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_forked_after_two_threads_have_computed_does_not_hang(script_environment):
    done = subprocess.run(
        [sys.executable, "-c", FORKED], check=False, timeout=120,
        env={**script_environment, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.returncode == 7


def test_processes_of_our_own_are_spawned_and_never_forked():
    package = Path(__file__).parents[2] / "flowllm"
    started = [
        path.name
        for path in package.rglob("*.py")
        if re.search(r"get_context\(|Process\(|ProcessPoolExecutor|os\.fork\(", path.read_text())
    ]
    assert started == ["pool.py"]
    assert 'get_context("spawn")' in (package / "parallel" / "pool.py").read_text()


@pytest.mark.parametrize("threads", [-1, 2**40])
def test_threads_that_no_machine_has_are_refused(threads):
    with pytest.raises(InputError, match="threads must be from 0"), used_threads(threads):
        pytest.fail("they were taken")

"""Where a run cannot write: a full disk, folders in the way, another process, another's files."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from flowllm.cli import main
from flowllm.conditions.request import Request
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import digest, flat_settings, open_run, weights_digest
from flowllm.workflows.generate import GenerateSettings, generate_run

pytestmark = pytest.mark.slow

SETTINGS = GenerateSettings(
    4, Request(elements=("Na", "Cl"), num_atoms=2), refinement=RefineSettings(steps=1), part_size=2
)


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    monkeypatch.setattr(
        "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
    )


def arguments(system_folder: Path, out: Path) -> list[str]:
    words = ["generate", "--num", "2", "--num-atoms", "2", "--elements", "Na,Cl", "--steps", "1"]
    return [*words, "--device", "cpu", "--model", str(system_folder), "--out", str(out)]


# ---- a full disk ---------------------------------------------------------------------------------

SMALL_FILES = """
import resource, signal, sys
from flowllm.cli import main
import flowllm.workflows.results
flowllm.workflows.results.write_report = lambda page, **_: page.write_text("x" * 100_000)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.stderr = open("/dev/null", "w") if limit < 1000 else sys.stderr
code = main(arguments)
sys.exit(code)
"""


@pytest.mark.parametrize("limit", [100, 1_500, 50_000])
def test_files_that_the_system_cuts_off_are_not_kept(system_folder, tmp_path, in_process, limit):
    """The kernel refuses to write beyond a limit, as it does on a full disk."""
    out = tmp_path / "out"
    words = arguments(system_folder, out)
    assert in_process(SMALL_FILES, arguments=words, limit=limit) == 2
    assert not (out / "report.html").exists()
    assert not [
        path for path in out.rglob("*") if path.name.startswith(".") and ".tmp" in path.name
    ]
    if limit == 100:  # not even run.json could be written
        assert not out.exists()
    assert main(words) == 0  # with room, the same command goes on
    assert (out / "report.html").is_file() and len(list((out / "crystals").iterdir())) == 2


def test_a_disk_that_fills_up_keeps_finished_parts(system, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    whole = generate_run(system, SETTINGS, tmp_path / "whole")
    fsync = os.fsync

    def full(handle):
        if (out / "parts").is_dir() and len(list((out / "parts").iterdir())) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"000002\.npz: the disk is full"):
            generate_run(system, SETTINGS, out)
    assert [path.name for path in (out / "parts").iterdir()] == ["000000.npz"]
    before = (out / "parts" / "000000.npz").stat().st_mtime_ns
    resumed = generate_run(system, SETTINGS, out)
    assert (out / "parts" / "000000.npz").stat().st_mtime_ns == before
    assert np.array_equal(resumed.refined.frac_coords, whole.refined.frac_coords)


def test_a_disk_that_is_full_from_the_start_leaves_nothing(
    system_folder, tmp_path, monkeypatch, capsys
):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(arguments(system_folder, tmp_path / "new" / "out")) == 2
    said = capsys.readouterr().err
    assert "the disk is full" in said and len(said.splitlines()) == 1
    assert not any(tmp_path.iterdir())


# ---- folders that cannot be used -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("file", "file is a file; the output needs a folder"),
        ("file/below", "file"),
        ("others", "contains files that flowllm did not write (thesis.tex)"),
        ("/proc/nowhere", "/proc/nowhere"),
        ("x" * 300, "x" * 300),
    ],
)
def test_an_output_that_cannot_be_used_is_named(
    system_folder, tmp_path, monkeypatch, capsys, out, said
):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("a file")
    Path("others").mkdir()
    Path("others", "thesis.tex").write_text("years of work")
    before = sorted(tmp_path.rglob("*"))
    assert main([*arguments(system_folder, Path(out)), "--overwrite"]) == 2
    shown = capsys.readouterr().err
    assert said in shown and len(shown.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert Path("others", "thesis.tex").read_text() == "years of work"


def test_a_folder_without_permission_is_named(system_folder, tmp_path, monkeypatch, capsys):
    """Tests may run as root, whom permissions do not bind: the refusal is simulated."""
    mkdir = Path.mkdir

    def refused(self, *arguments, **options):
        if self.name == "mine":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refused)
    assert main(arguments(system_folder, tmp_path / "mine")) == 2
    assert "mine: no permission to write there" in capsys.readouterr().err


def test_a_folder_in_use_is_refused(system, tmp_path):
    out = tmp_path / "out"
    with open_run(out, "generate", {"a": 1}), pytest.raises(InputError, match="another process"):
        generate_run(system, SETTINGS, out)


# ---- opening a run -------------------------------------------------------------------------------


def test_a_run_that_came_to_nothing_leaves_nothing(tmp_path):
    out = tmp_path / "a" / "b"
    with pytest.raises(InputError, match="too bad"), open_run(out, "generate", {}) as run:
        (run.path / "parts").mkdir()
        raise InputError("too bad")
    assert not any(tmp_path.iterdir())
    out.mkdir(parents=True)  # a folder of the user's own stays
    with pytest.raises(InputError, match="too bad"), open_run(out, "generate", {}):
        raise InputError("too bad")
    assert out.is_dir()


def test_a_run_that_wrote_something_stays(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_run(tmp_path / "out", "generate", {}) as run:
        (run.path / "part").write_text("finished")
        raise KeyboardInterrupt
    assert RunFolder.read(tmp_path / "out")["status"] == "running"
    with open_run(tmp_path / "out", "generate", {}) as run:
        assert (run.path / "part").read_text() == "finished"


def test_inputs_may_not_lie_in_the_output(tmp_path):
    (tmp_path / "out" / "lm").mkdir(parents=True)
    for source in (tmp_path / "out", tmp_path / "out" / "lm", f"{tmp_path}/x/../out/lm"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with (
            pytest.raises(InputError, match="lies in the output folder"),
            open_run(tmp_path / "out", "pair", {}, overwrite=True, inputs=[source]),
        ):
            pytest.fail("it was opened")
    with open_run(tmp_path / "other", "pair", {}, inputs=["mp_20", tmp_path / "out"]):
        assert (tmp_path / "other" / "run.json").is_file()


def test_settings_are_flat_and_say_whose_they_are_where_two_share_a_name():
    parts = SamplingSettings(), RefineSettings()
    settings = GenerateSettings(3, Request(prompts=("p",) * 20), *parts, seed=2)
    flat = flat_settings(settings, model="tiny")
    assert flat["seed"] == 2 and flat["temperature"] == 0.7 and flat["steps"] == 25
    assert flat["sampling.batch_size"] == 256 and flat["refinement.batch_size"] is None
    assert flat["model"] == "tiny" and flat["formula"] is None
    assert flat["prompts"].startswith("20 values (")
    other = flat_settings(GenerateSettings(3, Request(prompts=("q",) * 20), seed=2), model="tiny")
    assert flat["prompts"] != other["prompts"]


def test_hashes_tell_apart():
    assert digest("ab", "c") != digest("a", "bc") and digest("a") == digest(b"a")
    a, b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    b.load_state_dict(a.state_dict())
    assert weights_digest(a) == weights_digest(b) != weights_digest(a, "more")
    with torch.no_grad():
        b.weight[0, 0] += 1
    assert weights_digest(a) != weights_digest(b)


def test_results_of_a_killed_process_are_no_obstacle(system_folder, in_process, tmp_path):
    """Killed while the CIF files are written: nothing of them is taken for a result."""
    code = (
        "import os, signal\nimport flowllm.workflows.results\n"
        "from flowllm.cli import main\n"
        "replace = os.replace\n"
        "os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL) "
        "if os.path.isdir(a[0]) else replace(*a)\n"
        "main(arguments)\n"
    )
    out = tmp_path / "out"
    words = arguments(system_folder, out)
    assert in_process(code, arguments=words) == -signal.SIGKILL
    assert not (out / "crystals").exists() and (out / "parts" / "000000.npz").is_file()
    assert main(words) == 0
    assert len(list((out / "crystals").iterdir())) == 2
    assert Trajectory.load(out / "trajectories.npz").num_crystals == 2
    assert not [path.name for path in out.iterdir() if "partial" in path.name]

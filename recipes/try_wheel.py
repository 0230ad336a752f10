"""Builds the archives of a release and tries the wheel outside of the checkout.

Usage: python -m recipes.try_wheel [--out dist] [--reuse] [--python /path/to/python3.12]

`dist` then holds the source archive and the wheel, which is made of the source archive. In an
environment of its own, in a temporary folder, the wheel and all that it asks for are installed with
the versions of `constraints.txt` (several minutes); it generates 16 crystals, and the tests of
TESTS run against it. With --reuse the packages are those of the running interpreter and only the
wheel itself is installed; that takes less than a minute.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("crystals", "manifolds", "symmetry", "text", "conditions", "viz", "runs")
NOT_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables by which the checkout could be found."""


def sources(folder: Path) -> Path:
    """A copy of the files that git does not ignore, so that nothing else gets into the archives."""
    listed = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def build(out: Path) -> Path:
    """Write the source archive, and the wheel made of it, into a folder; gives the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        copy = sources(Path(folder))
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    (wheel,) = out.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path, reuse: bool = False, python: str = "") -> Path:
    """A new environment with the wheel; gives the folder of its programs.

    Args:
        wheel: to be installed.
        folder: of the environment.
        reuse: take all other packages from the running interpreter.
        python: another interpreter to make the environment with.
    """
    if python:
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    else:
        venv.create(folder, with_pip=not reuse, symlinks=True)
    programs = folder / "bin"
    pip = [str(programs / "python"), "-m", "pip"]
    options = ["-c", str(ROOT / "constraints.txt"), f"{wheel}[dev]"]
    if reuse:
        paths = {"base": str(folder), "platbase": str(folder)}
        place = Path(sysconfig.get_path("purelib", "venv", vars=paths))
        others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (place / "others.pth").write_text("\n".join(others) + "\n")
        pip = [sys.executable, "-m", "pip", "--python", str(programs / "python")]
        options = ["--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    subprocess.run(
        [*pip, "install", "-q", "--disable-pip-version-check", *options],
        check=True,
        env=outside(),
    )
    return programs


def outside() -> dict[str, str]:
    """The environment without what leads to the checkout."""
    return {name: value for name, value in os.environ.items() if name not in NOT_OURS}


def call(programs: Path, words: Sequence[str], folder: Path) -> str:
    """Run a program of the environment in a folder; gives what it printed.

    Raises:
        subprocess.CalledProcessError: it ended with an error.
    """
    done = subprocess.run(
        [str(programs / words[0]), *words[1:]], cwd=folder, env=outside(), text=True,
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return done.stdout


def main() -> None:
    """Build, install, generate and test."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--reuse", action="store_true", help="the packages of this environment")
    parser.add_argument("--python", default="", help="another interpreter")
    arguments = parser.parse_args()
    wheel = build(arguments.out)
    print(f"{wheel}: {wheel.stat().st_size / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = install(wheel, folder / "environment", arguments.reuse, arguments.python)
        where = call(programs, ["python", "-c", "import flowllm; print(flowllm.__file__)"], folder)
        assert Path(where.strip()).is_relative_to(folder), f"not the wheel but {where}"
        print(call(programs, ["flowllm", "--version"], folder).strip())
        print(call(programs, ["flowllm", "generate", "--num", "16", "--out", "demo"], folder))
        copy = sources(folder / "sources")
        for package in ("flowllm", "widgets"):
            shutil.rmtree(copy / package)
        words = ["python", "-m", "pytest", "-q", *(f"tests/{name}" for name in TESTS)]
        print(call(programs, words, copy)[-200:])


if __name__ == "__main__":
    main()

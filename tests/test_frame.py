"""The project's frame agrees with itself: dependencies, pins, conda file, make targets, README."""

import inspect
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from flowllm.cli import main
from flowllm.commands import COMMANDS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIREMENTS = [
    Requirement(text)
    for group in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for text in group
]


def pins() -> dict[str, Version]:
    """Canonical package name -> version in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    found: dict[str, Version] = {}
    for line in lines:
        text = line.split("#")[0].strip()
        if text:
            requirement = Requirement(text)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"not an exact pin: {line}"
            name = canonicalize_name(requirement.name)
            assert name not in found, f"pinned twice: {line}"
            found[name] = Version(specifier.version)
    return found


def listed_commands() -> list[str]:
    """The commands in the reference's table."""
    text = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    return re.findall(r"^\| `flowllm ([a-z-]+)` \| \S", text, re.MULTILINE)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_every_dependency_is_pinned_within_its_bounds(requirement):
    version = pins().get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement.name} has no pin in constraints.txt"
    assert version in requirement.specifier


def test_the_lock_of_all_systems_agrees_with_the_pins():
    text = (ROOT / "lock.txt").read_text("utf-8")
    assert "not run" in text and "://" not in text and " @ " not in text
    locked = [Requirement(line) for line in text.splitlines() if line and line[0] != "#"]
    found = {
        canonicalize_name(one.name): Version(next(iter(one.specifier)).version) for one in locked
    }
    assert len(found) == len(locked)
    assert {name: found.get(name) for name in pins()} == pins()


def test_pins_name_no_local_builds():
    assert [name for name, version in pins().items() if version.local] == []


def test_upper_bounds_carry_a_reason():
    lines = (ROOT / "pyproject.toml").read_text("utf-8").splitlines()
    bounded = [r.name for r in REQUIREMENTS if any(s.operator in "<===~=" for s in r.specifier)]
    assert "numpy" in bounded and "nglview" in bounded
    for name in bounded:
        (index,) = [i for i, line in enumerate(lines) if re.match(rf'\s*"{name}\W', line)]
        reasoned = "#" in lines[index] or lines[index - 1].lstrip().startswith("#")
        assert reasoned, f"the bound of {name} has no reason beside it"


def test_every_pinned_python_can_be_had():
    allowed = SpecifierSet(PROJECT["requires-python"])
    named = {
        line.rsplit(" :: ", 1)[1] for line in PROJECT["classifiers"] if ":: Python :: 3." in line
    }
    assert named == {f"3.{minor}" for minor in range(8, 20) if f"3.{minor}.1" in allowed}


def test_conda_installs_the_same_project_with_the_same_pins():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    plain = [entry for entry in conda["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    (python,) = [Requirement(entry) for entry in plain if entry.startswith("python")]
    assert python.specifier == SpecifierSet(PROJECT["requires-python"])
    assert "pip" in plain
    assert pip == ["-c constraints.txt", "-e .[dev]"]
    assert (ROOT / "constraints.txt").is_file()


def outside_make() -> dict[str, str]:
    """The environment without what `make test` itself hands down to a make that it calls."""
    return {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    assert {"help", "env", "demo", "test", "lint", "lab"} <= set(targets)
    for arguments in (["make"], ["make", "help"]):
        shown = subprocess.run(
            arguments, cwd=ROOT, env=outside_make(), capture_output=True, text=True, check=True
        )
        lines = [line for line in shown.stdout.splitlines() if line.strip()]
        assert [line.split()[1] for line in lines] == targets
        assert all(len(line.split()) > 2 and len(line) <= 100 for line in lines)


def test_make_names_the_pythons_that_fit_when_there_is_none(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    ended = subprocess.run(
        ["make", "env", "PYTHON=/nowhere/python"],
        cwd=tmp_path,
        env=outside_make(),
        capture_output=True,
        text=True,
    )
    assert ended.returncode != 0
    assert "needs Python 3.11 to 3.13" in ended.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.fixture
def stand_in(tmp_path):
    """A folder with the Makefile and programs that write down how they are called.

    Those whose words hold what the variable FAILS says end with an error.
    """
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "ruff", "mypy"):
        file = programs / name
        file.write_text(
            f'#!/bin/sh\necho "{name} $*" >>calls\n'
            'case "$*" in *${FAILS:-nothing}*) exit 1;; esac\n'
        )
        file.chmod(0o755)
    (tmp_path / ".venv" / ".stamp").touch()
    return tmp_path


def made(folder: Path, target: str, fails: str = "") -> tuple[bool, list[str]]:
    """Whether `make TARGET` succeeds, and what it calls."""
    environment = {**outside_make(), "FAILS": fails}
    ended = subprocess.run(["make", target], cwd=folder, env=environment, capture_output=True)
    return ended.returncode == 0, (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize("fails", ["", "--ignore tests/browser", "reorder tests/browser"])
def test_make_test_runs_both_halves_and_fails_with_either(stand_in, fails):
    succeeded, calls = made(stand_in, "test", fails)
    assert succeeded == (not fails)
    halves = [call for call in calls if "pytest" in call]
    assert len(halves) == 2 and all("-n 2 " in half for half in halves)
    assert halves[0].endswith("--ignore tests/browser") and halves[1].endswith(" tests/browser")
    assert {"ruff check .", "ruff format --check .", "mypy "} <= set(calls)


def test_make_test_stops_at_the_style(stand_in):
    succeeded, calls = made(stand_in, "test", "check .")
    assert not succeeded and not [call for call in calls if "pytest" in call]


def test_make_test_fast_leaves_out_no_package(stand_in):
    _, calls = made(stand_in, "test-fast")
    (call,) = [call for call in calls if "pytest" in call]
    assert "-m not slow and not data --ignore tests/browser" in call
    packages = {path.parent.name for path in (ROOT / "flowllm").glob("*/__init__.py")}
    left_out = re.compile(r"^pytestmark = .*mark\.(?:slow|data)\b", re.MULTILINE)
    quick = {
        path.relative_to(ROOT / "tests").parts[0]
        for path in (ROOT / "tests").rglob("test_*.py")
        if not left_out.search(path.read_text("utf-8"))
    }
    without_a_folder = {"pretrained", "reference", "networks"}
    assert packages - without_a_folder <= quick


def test_browser_tests_are_in_the_folder_that_make_leaves_to_the_second_half():
    marked = {
        path.parent.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if "pytest.mark.browser" in path.read_text("utf-8") and path != Path(__file__)
    }
    assert marked == {"tests/browser"}


def test_the_reference_lists_the_commands_that_exist(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    usage = re.search(r"\{([a-z,\s-]+)\}", capsys.readouterr().out)
    assert usage is not None
    commands = re.sub(r"\s", "", usage[1]).split(",")
    assert sorted(listed_commands()) == sorted(commands)


def test_documents_and_recipes_call_commands_that_exist():
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile"]
    files += [*(ROOT / "recipes").glob("*.*"), *(ROOT / "notebooks").glob("*.ipynb")]
    called = {
        (path.name, word)
        for path in files
        if path.name != "CHANGELOG.md"
        for word in re.findall(r"(?:^|`|bin/)flowllm ([a-z][a-z-]+)", path.read_text(), re.M)
    }
    assert {"README.md", "MODEL_CARD.md", "own-data.md", "cpu.sh"} <= {name for name, _ in called}
    assert {(name, word) for name, word in called if word not in COMMANDS} == set()


def test_documents_use_only_options_that_exist():
    def options(command: str, words: tuple[str, ...]) -> set[str]:
        parameters = inspect.signature(COMMANDS[command].flat(words)).parameters
        names = ("for" if name == "use" else name.replace("_", "-") for name in parameters)
        return {f"--{name}" for name in names}

    files = [ROOT / "README.md", ROOT / "MODEL_CARD.md", ROOT / "recipes" / "ablation.sh"]
    files += (ROOT / "docs").rglob("*.md")
    texts = [re.sub(r"\\\n", " ", path.read_text("utf-8")) for path in files]
    lines = [
        found for text in texts for found in re.findall(r"(?m)^ *flowllm ([a-z-]+)(.*)$", text)
    ]
    assert len(lines) >= 80
    for command, rest in lines:
        used = set(re.findall(r"--[a-z-]+", rest.split("#")[0]))
        shipped = re.search(r"--model (mp20-[a-z]+)", rest)
        words = ("--model", shipped[1]) if shipped else ()
        assert used <= options(command, words), f"flowllm {command}{rest}"


def test_citation_names_the_version_and_the_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    named = str(citation["references"])
    for paper in ("2410.23405", "2406.04713", "2402.04379", "2302.03660", "10.1063/1.4812323"):
        assert paper in named
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{PROJECT['version']}]" in changelog


def test_the_archive_of_a_release_is_told_what_the_citation_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    archive = json.loads((ROOT / ".zenodo.json").read_text("utf-8"))
    assert archive["upload_type"] == citation["type"] == "software"
    for ours, theirs in (("title", "title"), ("version", "version"), ("license", "license")):
        assert archive[ours] == citation[theirs]
    assert archive["publication_date"] == citation["date-released"].isoformat()
    assert archive["keywords"] == citation["keywords"]
    assert [c["name"] for c in archive["creators"]] == [a["name"] for a in citation["authors"]]
    papers = {one["identifier"] for one in archive["related_identifiers"]}
    cited = [
        {one.get("doi"), *(entry["value"] for entry in one.get("identifiers", ()))}
        for one in citation["references"]
    ]
    assert all(papers & names for names in cited) and len(papers) == len(cited)


def test_the_changelog_dates_the_release():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    heading = f"## [{PROJECT['version']}] - {citation['date-released'].isoformat()}"
    assert heading in (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines()


def test_ci_script_is_executable_and_well_formed():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr

"""The wheel of a release: it holds what the package needs, and works without the checkout."""

import subprocess
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from recipes.try_wheel import build, call, install

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
DATA = (".safetensors", ".npz", ".json", ".gz", ".csv")
LOG = "log.jsonl"  # how a training that ships went, for those who read the repository

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Made of the source archive, as a release is."""
    return build(tmp_path_factory.mktemp("dist"))


def test_it_holds_every_file_of_the_packages_and_no_other(wheel):
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "flowllm", "widgets"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split()
    ours = {name.removeprefix("widgets/") for name in listed if (ROOT / name).is_file()}
    assert len(ours) > 700
    held = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name for name in ours if not name.endswith(f"/{LOG}")} == held
    for part in (
        "flowllm/pretrained/mp20-symmetric/system.json",
        "flowllm/viz/templates/page.html",
        "flowllm_widgets/app/FlowLLM.ipynb",
        "flowllm_widgets/app/share/voila/templates/flowllm/index.html.j2",
    ):
        assert part in held


def test_its_size_leaves_room_below_the_limit_of_the_package_index(wheel):
    assert wheel.stat().st_size < 90e6  # the limit is 100 MB
    data = [info for info in ZipFile(wheel).infolist() if info.filename.endswith(DATA)]
    assert sum(info.file_size for info in data) < 70e6


def test_it_generates_crystals_outside_of_the_checkout(wheel, tmp_path):
    programs = install(wheel, tmp_path / "environment", reuse=True)
    where = call(programs, ["python", "-c", "import flowllm; print(flowllm.__file__)"], tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path / "environment")
    assert call(programs, ["flowllm", "--version"], tmp_path) == f"flowllm {VERSION}\n"
    call(programs, ["flowllm", "generate", "--num", "4", "--out", "run"], tmp_path)
    assert len(list((tmp_path / "run" / "crystals").glob("*.cif"))) == 4

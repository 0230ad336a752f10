"""Fixtures that all tests share: the real data and a few of its rows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Results are equal to the bit on the same number of threads only, and small products are no slower
# on one. Set before torch is loaded, for this process and those that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

# no test may fail because the machine is busy
settings.register_profile("flowllm", deadline=None)
settings.load_profile("flowllm")

LEFT_OUT = pytest.StashKey[int]()
HOW = (
    "FLOWLLM_DATA_DIR is not set: point it to the data folder (the one that holds mp_20/, hull/), "
    "as in FLOWLLM_DATA_DIR=/path/to/data make test"
)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real data; without it these tests fail and say what to set."""
    value = os.environ.get("FLOWLLM_DATA_DIR")
    if not value:
        where = "CI must have the data; " if os.environ.get("CI") == "true" else ""
        pytest.fail(where + HOW)
    folder = Path(value)
    assert (folder / "mp_20" / "val.csv.gz").is_file(), f"{folder} contains no mp_20/val.csv.gz"
    return folder


@pytest.fixture(scope="session")
def script_environment() -> dict[str, str]:
    """Environment in which a script of a test finds this checkout, wherever it lies."""
    places = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


@pytest.fixture(scope="session")
def mp20_rows(data_dir):
    """200 rows of the MP-20 validation split, spread evenly: a pandas table."""
    import pandas as pd

    table = pd.read_csv(data_dir / "mp_20" / "val.csv.gz")
    return table.iloc[:: len(table) // 200].head(200).reset_index(drop=True)


@pytest.fixture(scope="session")
def mp20_crystals(data_dir):
    """The first 1,000 crystals of the MP-20 validation split, reduced, in canonical setting."""
    import csv
    import gzip
    from itertools import islice

    from flowllm.crystals.batch import CrystalBatch
    from flowllm.data import reduce_cif

    with gzip.open(data_dir / "mp_20" / "val.csv.gz", "rt") as file:
        rows = islice(csv.DictReader(file), 1000)
        return CrystalBatch.concatenate(reduce_cif(r["cif"], r["material_id"]) for r in rows)


def needs_data(item: pytest.Item) -> bool:
    """Whether a test asks, itself or through another fixture, for the real data."""
    return "data_dir" in getattr(item, "fixturenames", ())


@pytest.hookimpl(tryfirst=True)  # before -m leaves out some
def pytest_collection_modifyitems(config, items):
    """Files with slow tests come first, so that no process works alone on one at the end.

    On a user's machine without the data the tests that need them are left out, and it says so.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    if os.environ.get("FLOWLLM_DATA_DIR") or os.environ.get("CI") == "true":
        return
    left_out = [item for item in items if needs_data(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not needs_data(item)]
        config.stash[LEFT_OUT] = len(left_out)


def pytest_terminal_summary(terminalreporter, config):
    count = config.stash.get(LEFT_OUT, 0)
    if count:
        terminalreporter.write_line(f"{count} tests need real data and were left out. {HOW}")


# ---- a tiny system with random weights, and crystals to train on ---------------------------------


@pytest.fixture(scope="session")
def system_folder(tmp_path_factory) -> Path:
    """A folder with a language model and a flow of a few thousand random weights."""
    import torch

    from flowllm.methods.flow.refiner import FlowRefiner
    from flowllm.methods.flow.statistics import FlowStatistics
    from flowllm.methods.flow.velocity import CrystalVelocity
    from flowllm.methods.language_model.compact import build_compact
    from flowllm.methods.language_model.prior import LanguageModelPrior
    from flowllm.methods.language_model.settings import CompactConfig
    from flowllm.networks.settings import VelocityConfig
    from flowllm.systems.system import FlowLLM
    from flowllm.text.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    language_model = build_compact(tokenizer, CompactConfig(16, 1, 2, 24), seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        velocity = CrystalVelocity(
            VelocityConfig(hidden=16, layers=1, time_dim=8, num_frequencies=3, distance_features=4),
            FlowStatistics((1.6,) * 3 + (0.0,) * 3, (0.3,) * 6, (0.01,) * 6, (0.1,) * 6, 0.1),
        )
        for head in (velocity.net.coord_head, velocity.net.cell_head):
            torch.nn.init.normal_(head.weight, std=0.2)
    prior = LanguageModelPrior(language_model.eval(), tokenizer)
    folder = tmp_path_factory.mktemp("system") / "tiny"
    FlowLLM(prior, FlowRefiner(velocity), [0, 3, 2, 2, 1, 1, *[0] * 14]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def system(system_folder):
    """That system, loaded; not to be changed."""
    from flowllm.systems.system import FlowLLM

    return FlowLLM.from_pretrained(system_folder, "cpu")


@pytest.fixture(scope="session")
def sample_crystals(mp20_crystals):
    """160 crystals of the MP-20 validation split."""
    return mp20_crystals[:160]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, sample_crystals) -> Path:
    """A folder that `flowllm data` would write: 60 small crystals in train, val and test."""
    from flowllm.data import prepare

    small = sample_crystals[sample_crystals.num_atoms <= 12][:60]
    folder = tmp_path_factory.mktemp("data")
    source = folder / "cifs"
    source.mkdir()
    for name, text in zip(small.ids, small.to_cif(), strict=True):
        (source / f"{name}.cif").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FLOWLLM_DATA_DIR", raising=False)  # the hull has nothing to do with it
        prepare(source, folder / "prepared", random_split=True, workers=1)
    return folder / "prepared"


@pytest.fixture
def in_process():
    """Runs code in a process of its own, with names given; returns its exit code.

    A fork server holds the heavy libraries, so that a process to be killed starts at once.
    """
    import multiprocessing

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["flowllm.workflows.generate", "flowllm.workflows.train", "flowllm.cli"]
    )

    def run(code: str, **names) -> int:
        one_thread = "import torch; torch.set_num_threads(1)\n"
        process = context.Process(target=exec, args=(one_thread + code, names))
        process.start()
        process.join(120)
        assert process.exitcode is not None, "the process did not come to its end"
        return process.exitcode

    return run

"""Fixtures that all tests share: the real data and a few of its rows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# no test may fail because the machine is busy
settings.register_profile("flowllm", deadline=None)
settings.load_profile("flowllm")

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
    assert (folder / "mp_20" / "val.csv.gz").is_file(), f"{folder} holds no mp_20/val.csv.gz"
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

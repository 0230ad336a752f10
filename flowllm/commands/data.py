"""The command that prepares a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flowllm.commands.options import Source
from flowllm.runs.terminal import say

if TYPE_CHECKING:
    from flowllm.data.reduce import ReduceSettings


def data(
    source: Source = "mp_20",
    /,
    *,
    settings: ReduceSettings,
    out: Path | None = None,
    limit: int | None = None,
    random_split: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Prepare a data set: MP-20, a CSV file with a column "cif", or a folder of CIF files.

    Args:
        source: mp_20, mpts_52, perov_5, a CSV file, or a folder of CIF files.
        out: folder for the arrays; by default in your cache.
        limit: only the first rows of each split.
        random_split: cut your own data into train, val and test (90, 5 and 5 percent).
    """
    from flowllm.data.prepare import prepare_folder, summary_of
    from flowllm.runs.progress import progress_bars

    with progress_bars() as progress:
        folder = prepare_folder(
            source,
            out,
            settings,
            limit,
            random_split=random_split,
            workers=workers,
            overwrite=overwrite,
            progress=lambda done, total: progress("preparing", done, total),
        )
    splits = summary_of(folder)["splits"]
    for name, split in splits.items():
        say(f"{name}: {split['kept']} crystals")
    failed = sum(split["rejected"] for split in splits.values())
    say(f"in {folder}; {failed} rows failed, listed with the reason in {folder / 'rejected.csv'}")

"""The command that prepares a data set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from flowllm.commands.options import Source, print_remarks
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
    """Prepare a data set: MP-20, or crystals of your own in any kind of file.

    Rows with atoms closer than 0.4 Å are refused, as are those that cannot be read.

    Args:
        source: mp_20, mpts_52, perov_5, a table with a column "cif", a folder of files (CIF,
            POSCAR, extended XYZ, JSON, tables, .npz), or one such file.
        out: folder for the arrays; by default in your cache.
        limit: use only this many rows of each split; the first ones.
        random_split: split your own data at random; 90, 5 and 5 percent for train, val and test.
    """
    from flowllm.data.prepare import prepare_folder
    from flowllm.data.prepare import summary_of as prepared_summary
    from flowllm.inputs.remarks import summary_of
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
    splits = prepared_summary(folder)["splits"]
    for name, split in splits.items():
        say(f"{name}: {split['kept']} crystals")
    counts = sum((Counter(split.get("remarks", {})) for split in splits.values()), Counter[str]())
    found = [str(note) for split in splits.values() for note in split.get("notes", [])]
    notes = dict.fromkeys(found)
    print_remarks(notes, summary_of(counts))
    failed = sum(split["rejected"] for split in splits.values())
    say(f"in {folder}; {failed} rows failed, listed with the reason in {folder / 'rejected.csv'}")

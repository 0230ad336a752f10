"""The command that prepares a data set."""

from __future__ import annotations

from pathlib import Path

from flowllm.commands.options import Source


def data(
    source: Source = "mp_20",
    /,
    out: Path | None = None,
    limit: int | None = None,
    max_atoms: int = 20,
    canonical: bool = True,
    random_split: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Prepare a data set: MP-20, a CSV file with a column "cif", or a folder of CIF files.

    Args:
        source: mp_20, mpts_52, perov_5, a CSV file, or a folder of CIF files.
        out: folder for the arrays; by default in your cache.
        limit: only the first rows of each split.
        max_atoms: leave out larger primitive cells.
        canonical: choose axes and origin by rule, so that equal crystals give equal texts.
        random_split: cut your own data into train, val and test (90, 5 and 5 percent).
        workers: processes; by default one for each core.
        overwrite: replace another run in the output folder.
    """
    from flowllm.data import ReduceSettings
    from flowllm.data.prepare import prepare_folder, summary_of
    from flowllm.runs.progress import progress_bars

    with progress_bars() as progress:
        folder = prepare_folder(
            source,
            out,
            ReduceSettings(max_atoms, canonical),
            limit,
            random_split=random_split,
            workers=workers,
            overwrite=overwrite,
            progress=lambda done, total: progress("preparing", done, total),
        )
    splits = summary_of(folder)["splits"]
    for name, split in splits.items():
        print(f"{name}: {split['kept']} crystals")
    failed = sum(split["rejected"] for split in splits.values())
    print(f"in {folder}; {failed} rows failed, listed with the reason in {folder / 'rejected.csv'}")

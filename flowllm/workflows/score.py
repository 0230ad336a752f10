"""Crystals from any program, ranked by their likelihood under a language model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.reduce import ReduceSettings, reduce_crystal
from flowllm.errors import InputError
from flowllm.inputs import Inputs
from flowllm.methods.language_model.invariance import invariance
from flowllm.methods.language_model.likelihood import as_crystal_set, score
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.runs.progress import Progress, progress_of
from flowllm.settings import check_seed

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("id", "formula", "num_atoms", "nats", "nats_per_token", "perplexity")
HEADINGS = {
    "num_atoms": "atoms",
    "nats_per_token": "per token",
    "ipt_translation": "IPT, moved",
    "ipt_permutation": "IPT, permuted",
}
"""Of the printed table, where they differ from the columns' names."""


def rank_by_likelihood(
    prior: LanguageModelPrior,
    inputs: Inputs,
    *,
    transformations: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """A table of R rows, the likeliest per token first; unscored rows last.

    Each crystal is reduced to its primitive Niggli cell in the canonical setting first, since that
    is how the model knows crystals; so the cell in which a file has it plays no part.

    Args:
        prior: the language model.
        inputs: R inputs, of `flowllm.inputs.read_inputs`.
        transformations: of each crystal for the columns `ipt_translation` and `ipt_permutation`
            (`flowllm.methods.language_model.invariance`); 0 leaves them out.
        seed: of the transformations.
        progress: callback.

    Returns:
        Columns `COLUMNS` (nats are log-likelihoods of composition, space group and text; the
        perplexity is that of the text alone), those of IPT, `reason` where there is no score, and
        `remarks`.
    """
    import pandas as pd

    check_seed(seed)
    table = pd.DataFrame(
        {"id": inputs.ids, "reason": inputs.reasons, "remarks": inputs.remarks.astype(object)}
    )
    reduced, rows = _reduced(inputs, table, prior.format.max_atoms)
    values: dict[str, np.ndarray] = {}
    if len(reduced):
        data = as_crystal_set(reduced)
        found = score(
            prior.model, prior.tokenizer, data, outline=prior.outline, text_format=prior.format,
            progress=progress_of(progress, "likelihood"),
        )  # fmt: skip
        values = {
            "nats": found.total,
            "nats_per_token": found.per_token,
            "perplexity": found.perplexity,
        }
        for kind in ("translation", "permutation") if transformations else ():
            changed = invariance(
                prior.model, prior.tokenizer, data, kind, transformations, seed,
                progress=progress_of(progress, kind), text_format=prior.format,
            )  # fmt: skip
            values[f"ipt_{kind}"] = changed.ipt
        table.loc[rows, "formula"] = data.reduced_formulas
        table.loc[rows, "num_atoms"] = reduced.num_atoms
    for name in ("nats", "nats_per_token", "perplexity", *values):
        table.loc[rows, name] = values.get(name, np.nan)
    table["num_atoms"] = table.get("num_atoms", pd.Series(dtype=float)).astype("Int64")
    first = [name for name in (*COLUMNS, *values) if name in table]
    table = table[[*dict.fromkeys(first), "reason", "remarks"]]
    return table.sort_values(
        "nats_per_token", ascending=False, na_position="last", kind="stable", ignore_index=True
    )


def _reduced(
    inputs: Inputs, table: pd.DataFrame, max_atoms: int
) -> tuple[CrystalBatch, np.ndarray]:
    """The crystals that can be scored, and their rows; `reason` explains the others."""
    crystals, rows, limit = [], [], ReduceSettings(max_atoms=max_atoms)
    for row in np.flatnonzero(inputs.readable):
        name = str(inputs.ids[row])
        try:
            given = inputs.crystals[int(inputs.position[row])]
            crystals.append(reduce_crystal(given, name, limit))
            rows.append(row)
        except InputError as error:
            table.loc[row, "reason"] = str(error).removeprefix(f"{name}: ")
    return CrystalBatch.concatenate(crystals), np.array(rows, dtype=np.int64)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV atomically.

    Raises:
        InputError: the file cannot be written.
    """
    from flowllm.runs.files import atomic_write, friendly_os_errors
    from flowllm.runs.texts import frame_csv

    with friendly_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, frame_csv(table))


def print_table(table: pd.DataFrame, num: int) -> None:
    """The first rows in a terminal, and how many there are in all."""
    from rich.console import Console
    from rich.table import Table

    from flowllm.runs.terminal import cell, heading, say

    columns = [name for name in table if name not in ("reason", "remarks")]
    shown = Table(*(heading(HEADINGS.get(name, name)) for name in columns))
    scored = table[table["nats"].notna()]
    for row in scored.head(num)[columns].itertuples(index=False):
        shown.add_row(*(f"{x:.3f}" if isinstance(x, float) else cell(x) for x in row))
    console = Console()
    console.print(shown)
    console.print(f"{len(scored)} of {len(table)} scored; higher nats per token are likelier")
    for reason, count in table[table["nats"].isna()]["reason"].value_counts().items():
        say(f"{count} not scored: {reason}")

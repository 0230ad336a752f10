"""The commands that query the language model: score and infill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flowllm.commands.options import SHIPPED_MODEL, Device, Input, load_system, print_remarks
from flowllm.runs.terminal import say

if TYPE_CHECKING:
    from flowllm.workflows.settings import InfillSettings


MOST_TRANSFORMATIONS = 10_000


def score(
    source: Input,
    /,
    out: Path | None = None,
    ipt: int = 0,
    num: int = 20,
    model: str = SHIPPED_MODEL,
    device: Device = "auto",
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Rank crystals of any program by how likely the language model finds them.

    Args:
        source: a file of crystals (CIF, POSCAR, extended XYZ, JSON, a table with a column "cif",
            .npz), a folder of them, or the folder of a run of flowllm.
        out: CSV file for the whole table.
        ipt: transformations for the IPT metric; measures the increase in perplexity under this many
            random translations, and permutations, of each crystal. 20 are usual, 0 leaves it out.
        num: rows to print, likeliest first.
        seed: random seed of the transformations.
        overwrite: replace the CSV file.
    """
    from flowllm.errors import InputError
    from flowllm.inputs import read_inputs
    from flowllm.runs.progress import progress_bars
    from flowllm.settings import check_seed
    from flowllm.systems.record import find_model

    check_seed(seed)
    find_model(model)  # before the crystals, which may be many
    if num < 0:
        raise InputError(f"--num must be at least 0, not {num}")
    if ipt < 0 or ipt == 1:
        raise InputError(f"--ipt takes 0 or at least 2 transformations, not {ipt}")
    if ipt > MOST_TRANSFORMATIONS:
        raise InputError(f"--ipt must be at most {MOST_TRANSFORMATIONS:,}, not {ipt}")
    if out is not None and out.is_dir():
        raise InputError(f"{out} is a folder; the table needs a file")
    if out is not None and out.exists() and source.exists() and out.samefile(source):
        raise InputError(f"{out} is the input; choose another file for the table")
    if out is not None and out.exists() and not overwrite:
        raise InputError(f"{out} already exists; use --overwrite to replace it")
    inputs = read_inputs(source)
    system = load_system(model, device)
    from flowllm.methods.language_model.within import language_model_in
    from flowllm.workflows.score import print_table, rank_by_likelihood, write_table

    prior = language_model_in(system.prior)
    if prior is None:
        raise InputError(f"{model} has no language model to score with")
    with progress_bars() as progress:
        table = rank_by_likelihood(prior, inputs, transformations=ipt, seed=seed, progress=progress)
    if out is not None:
        write_table(table, out)
    print_table(table, num)
    print_remarks(inputs.notes, inputs.remark_summary)


def infill(
    file: Input,
    /,
    out: Path,
    settings: InfillSettings,
    model: str = SHIPPED_MODEL,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Fill in masked sites, or the missing atoms of a crystal, and refine the result.

    Args:
        file: a file of one crystal: CIF, POSCAR, extended XYZ or JSON.
        out: folder for the results; proposals.csv ranks all elements.
    """
    from flowllm.workflows.infill import PROPOSALS, infill_run

    result = infill_run(load_system(model, device), file, settings, out, overwrite=overwrite)
    for prompt, formula in zip(result.prompts, result.refined.formulas, strict=True):
        say(f"{formula}: {prompt.splitlines()[0][:70]}")
    ranked = "" if settings.keep else f"; all elements in {out / PROPOSALS}"
    say(f"open {out / 'report.html'}{ranked}")

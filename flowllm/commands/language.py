"""The commands around the language model alone: score."""

from __future__ import annotations

from pathlib import Path

from flowllm.commands.options import Device, Input, load_system


def score(
    source: Input,
    /,
    out: Path | None = None,
    ipt: int = 0,
    num: int = 20,
    model: str = "mp20-compact",
    device: Device = "auto",
    seed: int = 0,
) -> None:
    """Rank crystals of any program by how likely the language model finds them.

    Args:
        source: a CIF file or a folder of them, extended XYZ, a CSV with a column "cif", an .npz,
            or the folder of a run of flowllm.
        out: a CSV file for the whole table.
        ipt: also measure the increase in perplexity under so many random translations, and
            permutations, of each crystal; 20 are usual, 0 leaves it out.
        num: rows that are printed, from the likeliest on.
        model: a folder with weights, or the name of a model that ships with the package.
        device: where to compute.
        seed: of the transformations.
    """
    from flowllm.errors import InputError
    from flowllm.inputs import read_inputs
    from flowllm.progress import progress_bars

    if ipt < 0 or ipt == 1:
        raise InputError(f"--ipt takes 0 or at least 2 transformations, not {ipt}")
    inputs = read_inputs(source)
    system = load_system(model, device)
    from flowllm.lm.prior import LanguageModelPrior
    from flowllm.scoring import print_table, rank_by_likelihood, write_table

    if not isinstance(system.prior, LanguageModelPrior):
        raise InputError(f"{model} starts from no language model; there is nothing to score with")
    with progress_bars() as progress:
        table = rank_by_likelihood(
            system.prior, inputs, transformations=ipt, seed=seed, progress=progress
        )
    if out is not None:
        write_table(table, out)
    print_table(table, num)

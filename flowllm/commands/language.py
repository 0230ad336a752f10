"""The commands around what the language model knows: score and infill."""

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
    overwrite: bool = False,
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
        overwrite: replace the CSV file.
    """
    from flowllm.errors import InputError
    from flowllm.inputs import read_inputs
    from flowllm.runs.progress import progress_bars

    if ipt < 0 or ipt == 1:
        raise InputError(f"--ipt takes 0 or at least 2 transformations, not {ipt}")
    if out is not None and out.exists() and not overwrite:
        raise InputError(f"{out} is there already; use --overwrite to replace it")
    inputs = read_inputs(source)
    system = load_system(model, device)
    from flowllm.methods.language_model.prior import LanguageModelPrior
    from flowllm.workflows.score import print_table, rank_by_likelihood, write_table

    if not isinstance(system.prior, LanguageModelPrior):
        raise InputError(f"{model} starts from no language model; there is nothing to score with")
    with progress_bars() as progress:
        table = rank_by_likelihood(
            system.prior, inputs, transformations=ipt, seed=seed, progress=progress
        )
    if out is not None:
        write_table(table, out)
    print_table(table, num)


def infill(
    file: Input,
    /,
    out: Path,
    sites: str | None = None,
    element: str | None = None,
    keep: int | None = None,
    num: int = 10,
    elements: str | None = None,
    allow_present: bool = False,
    formula: str | None = None,
    num_atoms: int | None = None,
    temperature: float = 0.7,
    top_p: float = 0.9,
    steps: int = 25,
    symprec: float = 0.0,
    seed: int = 0,
    model: str = "mp20-compact",
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Fill in masked sites, or the missing atoms of a crystal, and refine what comes out.

    Args:
        file: a CIF file.
        out: folder for the results; proposals.csv ranks all elements.
        sites: mask these, as in 3,4; counted from 1 in the order of the file.
        element: or mask all sites of this element.
        keep: or keep only so many atoms, the least electronegative first, and complete the crystal.
        num: how many proposals, or completions, are refined and kept.
        elements: choose only from these, as in Li,Na,K.
        allow_present: propose elements that the other sites hold, too.
        formula: of a completed crystal, reduced.
        num_atoms: of a completed crystal, in its primitive cell.
        temperature: of completion.
        top_p: of completion.
        steps: of the refinement.
        symprec: keep the space group that a crystal has within this tolerance, in Å, before it is
            refined; 0 lets the flow break it.
        seed: of completion.
        model: a folder with weights, or the name of a model that ships with the package.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.conditions.conditions import Conditions
    from flowllm.conditions.formula import read_elements
    from flowllm.errors import InputError
    from flowllm.methods.flow.refiner import RefineSettings
    from flowllm.methods.language_model.infill import TRAINED_ON
    from flowllm.methods.language_model.settings import SamplingSettings
    from flowllm.workflows.infill import PROPOSALS, InfillSettings, infill_run

    try:
        chosen = None if sites is None else tuple(int(word) for word in sites.split(","))
    except ValueError:
        raise InputError(f"--sites takes numbers as in 3,4, not {sites!r}") from None
    settings = InfillSettings(
        chosen,
        element,
        keep,
        num,
        TRAINED_ON if elements is None else read_elements(elements),
        allow_present,
        Conditions(formula=formula, num_atoms=num_atoms),
        SamplingSettings(temperature, top_p),
        RefineSettings(steps=steps, symprec=symprec),
        seed,
    )
    result = infill_run(load_system(model, device), file, settings, out, overwrite=overwrite)
    for prompt, formula_found in zip(result.prompts, result.refined.formulas, strict=True):
        print(f"{formula_found}: {prompt.splitlines()[0][:70]}")
    print(f"open {out / 'report.html'}" + ("" if keep else f"; all elements in {out / PROPOSALS}"))

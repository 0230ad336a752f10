"""The commands that make crystals: generate and refine."""

from __future__ import annotations

import sys
from pathlib import Path

from flowllm.commands.options import Device, Files, Solver, load_system, print_stages


def generate(
    out: Path,
    num: int | None = None,
    formula: str | None = None,
    composition: str | None = None,
    elements: str | None = None,
    num_atoms: int | None = None,
    space_group: int | None = None,
    formation_energy: float | None = None,
    e_above_hull: float | None = None,
    band_gap: float | None = None,
    prompt_file: Path | None = None,
    temperature: float = 0.7,
    top_p: float = 0.9,
    noise: float = 0.0,
    steps: int = 25,
    solver: Solver = "euler",
    anti_annealing: float = 0.0,
    symprec: float = 0.0,
    record: bool = False,
    seed: int = 0,
    model: str = "mp20-compact",
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Generate crystals: the language model writes them, the Riemannian flow refines them.

    Any subset of the conditions can be asked for, from formula to band-gap. One that the training
    data do not have is warned about, with their range.

    Args:
        out: folder for the results; open report.html in it first.
        num: how many crystals; default 16, or one for each prompt of a file.
        formula: exactly this reduced formula, as in SrTiO3, with any number of formula units that
            20 atoms have room for.
        composition: exactly these atoms in the primitive cell, as in "Sr1 Ti1 O3".
        elements: exactly these elements, as in Li,Fe,O.
        num_atoms: atoms in the primitive cell, 1 to 20; default as often as in the training data.
        space_group: international number, 1 to 230.
        formation_energy: in eV/atom.
        e_above_hull: energy above the convex hull, in eV/atom.
        band_gap: in eV.
        prompt_file: a text file with one prompt a line; they are used in turn.
        temperature: above 0; lower writes likelier crystals, higher more various ones.
        top_p: in (0, 1]; tokens are drawn from the likeliest that add up to this probability.
        noise: standard deviation of Gaussian noise on what the language model wrote, in fractions
            of the cell, Å and degrees.
        steps: steps of the refinement; more are slower and more exact.
        solver: how the flow is integrated; midpoint takes twice, rk4 four times the time of euler.
        anti_annealing: s speeds the atoms up by 1 + s t towards the end of the flow; 0 is off.
        symprec: keep the space group that a crystal has within this tolerance, in Å, before it is
            refined; 0 lets the flow break it.
        record: keep every step in trajectories.npz, not only the first and the last.
        seed: the same seed gives the same crystals.
        model: a folder with weights, or the name of a model that ships with the package.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.conditions.request import Request
    from flowllm.methods.language_model.settings import SamplingSettings
    from flowllm.text.prompts import read_prompts

    # what can be wrong is looked at before anything that takes seconds to load
    prompts = read_prompts(prompt_file) if prompt_file else ()
    request = Request.read(
        formula=formula, composition=composition, elements=elements, num_atoms=num_atoms,
        space_group=space_group, formation_energy=formation_energy, e_above_hull=e_above_hull,
        band_gap=band_gap, prompts=prompts,
    )  # fmt: skip
    sampling = SamplingSettings(temperature, top_p, noise)

    from flowllm.methods.flow.refiner import RefineSettings
    from flowllm.runs.progress import progress_bars
    from flowllm.systems.sampling import DEFAULT_NUM
    from flowllm.workflows.generate import GenerateSettings, generate_run

    settings = GenerateSettings(
        num=num if num is not None else len(prompts) or DEFAULT_NUM,
        request=request,
        sampling=sampling,
        refinement=RefineSettings(steps, solver, anti_annealing, record, symprec=symprec),
        seed=seed,
    )
    system = load_system(model, device)
    with progress_bars() as progress:
        result = generate_run(system, settings, out, overwrite=overwrite, progress=progress)
    print(f"decoding: {result.decoding}")
    print_stages(result.stages, out)


def refine(
    files: Files,
    /,
    out: Path,
    steps: int = 25,
    solver: Solver = "euler",
    anti_annealing: float = 0.0,
    symprec: float = 0.0,
    record: bool = False,
    model: str = "mp20-compact",
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Refine structures from anywhere with the Riemannian flow.

    Each is reduced to its primitive Niggli cell first; cells over 20 atoms are named and left out,
    as are files that do not parse or have partial occupancy.

    Args:
        files: CIF files, one or more.
        out: folder for the results, laid out as by generate.
        steps: steps of the refinement; more are slower and more exact.
        solver: how the flow is integrated; midpoint takes twice, rk4 four times the time of euler.
        anti_annealing: s speeds the atoms up by 1 + s t towards the end of the flow; 0 is off.
        symprec: keep the space group that a crystal has within this tolerance, in Å, before it is
            refined; 0 lets the flow break it.
        record: keep every step in trajectories.npz, not only the first and the last.
        model: a folder with weights, or the name of a model that ships with the package.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.methods.flow.refiner import RefineSettings
    from flowllm.runs.progress import progress_bars
    from flowllm.workflows.generate import refine_run

    settings = RefineSettings(steps, solver, anti_annealing, record, symprec=symprec)
    system = load_system(model, device)
    with progress_bars() as progress:
        result, refused = refine_run(
            system, files, settings, out, overwrite=overwrite, progress=progress
        )
    print("Each structure was reduced to its primitive Niggli cell first.")
    for message in refused:
        print(f"left out: {message}", file=sys.stderr)
    print_stages(result.stages, out)

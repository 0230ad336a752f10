"""The commands around evaluation: evaluate, adherence, reference, hull, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from flowllm.commands.options import Device, Input
from flowllm.evaluation.stages import chosen_stages, help_text

Stages = Annotated[str | None, tyro.conf.arg(help=help_text())]


def evaluate(
    source: Input,
    /,
    out: Path,
    reference: str = "mp_20",
    only: Stages = None,
    name: str | None = None,
    relax_num: int = 0,
    fmax: float = 0.1,
    relax_steps: int = 1500,
    trajectories: bool = False,
    hull: str = "",
    known: Literal["train", "train+val"] = "train",
    novelty: Literal["auto", "exact", "index"] = "auto",
    seconds: float = 60.0,
    relax_seconds: float = 600.0,
    dask: str | None = None,
    workers: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Evaluate crystals of any program as the papers do; everything with its protocol beside it.

    Relaxing takes by far the longest (a few seconds a crystal); look at the rest first with --only
    validity,distributions,coverage,diversity,novelty and call again without it: what is done stays.

    Args:
        source: a folder of CIF files, an extended-XYZ file, a CSV with a column "cif", an .npz, or
            the folder of a run of flowllm.
        out: folder for summary.json, per_crystal.csv and report.html; open the last first.
        reference: what to compare with: mp_20, or a folder that "flowllm reference" wrote.
        name: of the system, for the report.
        relax_num: relax a random sample of so many; 0 relaxes all.
        fmax: a crystal is relaxed when no force is larger, in eV/Å.
        relax_steps: most steps of the optimiser.
        trajectories: keep every step of every relaxation, in stages/relaxation/relaxed.npz.
        hull: a hull of "flowllm hull convert"; default the reference's own.
        known: splits whose crystals are not novel.
        novelty: exact compares structures and needs the data; index does without them; auto takes
            the better one at hand.
        seconds: the longest that one crystal may take in a stage.
        relax_seconds: the longest that one crystal may take to relax.
        dask: address of a Dask scheduler whose workers compute, as in tcp://10.0.0.1:8786.
        workers: processes; by default one for each core.
        seed: of samples and intervals.
        overwrite: replace another evaluation in the output folder.
    """
    from flowllm.evaluation.settings import EvaluateSettings
    from flowllm.relax.settings import RelaxSettings

    stages = [word.strip() for word in only.split(",")] if only else None
    chosen_stages(stages)  # what can be wrong is looked at before anything is read
    settings = EvaluateSettings(
        hull=hull,
        known=known,
        novelty=novelty,
        relaxation=RelaxSettings(
            fmax=fmax, steps=relax_steps, time_limit=relax_seconds, record=trajectories
        ),
        relax_num=relax_num,
        seconds=seconds,
        seed=seed,
    )
    from flowllm.evaluation import evaluate as run
    from flowllm.evaluation.printing import print_report
    from flowllm.parallel.dask import dask_executor
    from flowllm.runs.progress import progress_bars

    with dask_executor(dask) as executor, progress_bars() as progress:
        report = run(
            source,
            reference,
            out,
            settings=settings,
            only=stages,
            name=name,
            executor=executor,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    print_report(report)
    print(f"open {out / 'report.html'}")


def adherence(
    out: Path,
    model: str = "mp20-compact",
    data: str = "mp_20",
    split: Literal["train", "val", "test"] = "test",
    kinds: str = "",
    num: int = 1000,
    constraints: Literal["both", "with", "without"] = "both",
    relax_num: int = 0,
    temperature: float = 0.7,
    top_p: float = 0.9,
    steps: int = 25,
    symprec: float = 0.0,
    seed: int = 0,
    workers: int | None = None,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Measure how well a model keeps to what is asked: conditions of real crystals, one try each.

    Args:
        out: folder for summary.json, per_crystal.csv and table.md.
        model: a folder with weights, or the name of a model that ships with the package.
        data: mp_20, or a folder that "flowllm data" wrote.
        split: whose crystals' conditions are asked for; val for choices, so that test stays
            untouched.
        kinds: what is asked for, separated by commas: a condition, several joined as in
            formula+space-group, or all of them as in all; the conditions are formula, composition,
            elements, num-atoms, space-group, formation-energy, e-above-hull and band-gap; default
            each alone, formula+space-group, and all.
        num: prompts of each kind.
        constraints: of the decoding, which hold the model to formula, elements and number of atoms.
        relax_num: so many crystals of each kind with an energy are relaxed too, seconds a crystal.
        temperature: of sampling.
        top_p: of sampling.
        steps: steps of the refinement.
        symprec: keep the space group that a crystal has within this tolerance, in Å, before it is
            refined; 0 lets the flow break it.
        seed: of everything random.
        workers: processes for energies and space groups; by default one for each core.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.evaluation.adherence import (
        DEFAULT_KINDS,
        AdherenceSettings,
        measure_adherence,
        print_adherence,
    )
    from flowllm.evaluation.adherence.settings import MODES
    from flowllm.methods.flow.refiner import RefineSettings
    from flowllm.methods.language_model.settings import SamplingSettings
    from flowllm.runs.progress import progress_bars

    settings = AdherenceSettings(
        model=model,
        data=data,
        split=split,
        kinds=tuple(word.strip() for word in kinds.split(",")) if kinds else DEFAULT_KINDS,
        num=num,
        modes=MODES if constraints == "both" else (constraints,),
        sampling=SamplingSettings(temperature, top_p),
        refinement=RefineSettings(steps, symprec=symprec),
        relax_num=relax_num,
        seed=seed,
    )
    with progress_bars() as progress:
        summary = measure_adherence(
            settings, out, device=device, workers=workers, overwrite=overwrite, progress=progress
        )
    print_adherence(summary)
    print(f"the same in Markdown: {out / 'table.md'}")


def reference(
    out: Path,
    data: str = "mp_20",
    name: str = "",
    source: str = "",
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Make what "flowllm evaluate" compares with out of a data set of your own.

    Args:
        out: the folder; give it to evaluate --reference.
        data: mp_20, or a folder that "flowllm data" wrote, with training and test splits.
        name: what reports call it.
        source: where the structures will be found later, for exact novelty; default the data.
        workers: processes; by default one for each core.
        overwrite: replace another reference in the output folder.
    """
    from flowllm.evaluation.build import build_reference
    from flowllm.runs.progress import progress_bars

    with progress_bars() as progress:
        made = build_reference(
            data, out, name, source=source, workers=workers, overwrite=overwrite, progress=progress
        )
    print(f"{made.name}: {made.describe('train')}, {made.describe('test')}")
    print(f"flowllm evaluate runs/a --reference {out} --out runs/a/eval")


def hull(
    action: tyro.conf.Positional[Literal["convert"]],
    file: tyro.conf.Positional[Path],
    /,
    out: Path,
    overwrite: bool = False,
) -> None:
    """Convert a Materials Project phase diagram into a hull that "flowllm evaluate --hull" takes.

    The file is Matbench Discovery's 2023-02-07-ppd-mp.pkl.gz or another pickled phase diagram of
    pymatgen. Pickles can run code: only the classes that a phase diagram is made of are let in.

    Args:
        action: convert.
        file: the pickled phase diagram, gzipped or not.
        out: the .npz to write.
        overwrite: replace a file that is there.
    """
    from flowllm.errors import InputError
    from flowllm.runs.progress import waiting
    from flowllm.stability import convert_hull

    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; use --overwrite to replace it")
    with waiting("reading the phase diagram"):
        table = convert_hull(file, out)
    print(table.describe())
    print(f"flowllm evaluate runs/a --hull {out} --out runs/a/eval")


def export(
    source: Input,
    /,
    out: Path,
    vasp: bool = False,
    quantum_espresso: bool = False,
    ids: str | None = None,
    where: str = "all",
    relaxed: bool = True,
    overwrite: bool = False,
) -> None:
    """Write the input files of density functional theory, which alone decides on stability.

    Args:
        source: an evaluation's folder, or anything that "flowllm evaluate" reads.
        out: folder with a folder for each crystal.
        vasp: write POSCAR, INCAR and KPOINTS by pymatgen's MPRelaxSet, and the names of the
            POTCARs, which are yours.
        quantum_espresso: write inputs of pw.x; the pseudopotentials are yours.
        ids: only these, separated by commas.
        where: only crystals with these flags in an evaluation's table, joined by commas, as in sun
            or stable,novel; valid, metastable, msun and the other columns of true and false do too.
        relaxed: begin from the relaxed structures where the evaluation holds them.
        overwrite: replace another export in the output folder.
    """
    from flowllm.errors import InputError

    if vasp == quantum_espresso:
        raise InputError("choose one of --vasp and --quantum-espresso")

    from flowllm.evaluation.selection import select
    from flowllm.export import export_crystals
    from flowllm.runs.progress import progress_bars

    named = [word.strip() for word in ids.split(",")] if ids else None
    crystals, wanted = select(source, where, named, relaxed)
    with progress_bars() as progress:
        done = export_crystals(
            "vasp" if vasp else "quantum-espresso",
            crystals,
            out,
            wanted,
            inputs=[source],
            overwrite=overwrite,
            progress=lambda k, n: progress("exporting", k, n),
        )
    for one in done:
        if one.problem:
            print(f"left out: {one.id} ({one.formula}): {one.problem}")
    print(f"{sum(not one.problem for one in done)} crystals in {out}; read {out / 'README.txt'}")

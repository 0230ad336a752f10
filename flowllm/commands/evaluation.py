"""The commands around evaluation: evaluate, adherence, reference, hull, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from flowllm.commands.options import Device, Input, print_remarks
from flowllm.evaluation.stages import chosen_stages, help_text
from flowllm.runs.terminal import say

if TYPE_CHECKING:
    from flowllm.evaluation.adherence.settings import AdherenceSettings
    from flowllm.evaluation.settings import EvaluateSettings

Stages = Annotated[str | None, tyro.conf.arg(help=help_text())]


def evaluate(
    source: Input,
    /,
    out: Path,
    settings: EvaluateSettings,
    reference: str = "mp_20",
    only: Stages = None,
    name: str | None = None,
    dask: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Evaluate crystals from any program as in the papers, with the protocol of every metric.

    Relaxation takes by far the longest (a few seconds per crystal); compute the rest first with
    --only contacts,distributions,coverage,diversity,novelty, then call again without it: finished
    stages are kept.

    Args:
        source: a file of crystals (CIF, POSCAR, extended XYZ, JSON, a table with a column "cif",
            .npz), a folder of them, or the folder of a run of flowllm.
        out: folder for the results: summary.json, per_crystal.csv and report.html (open this
            first).
        reference: reference data: mp_20, or a folder that "flowllm reference" wrote.
        name: name of the system, for the report.
        dask: address of a Dask scheduler; its workers compute. It looks like tcp://10.0.0.1:8786.
    """

    stages = None if only is None else [w.strip() for w in only.split(",") if w.strip()]
    chosen_stages(stages)  # what can be wrong is looked at before anything is read

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
    say(f"open {out / 'report.html'}")


def adherence(
    out: Path,
    settings: AdherenceSettings,
    workers: int | None = None,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Measure how well a model follows its conditions: those of real crystals, one try each.

    Args:
        out: folder for the results: summary.json, per_crystal.csv and table.md.
        workers: processes for energies and space groups; by default one per core.
    """
    from flowllm.evaluation.adherence import measure_adherence, print_adherence
    from flowllm.runs.progress import progress_bars

    with progress_bars() as progress:
        summary = measure_adherence(
            settings, out, device=device, workers=workers, overwrite=overwrite, progress=progress
        )
    print_adherence(summary)
    say(f"the same table in Markdown: {out / 'table.md'}")


def reference(
    out: Path,
    data: str = "mp_20",
    name: str = "",
    source: str = "",
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Build the reference for "flowllm evaluate" from a data set of your own.

    Args:
        out: output folder; pass it to evaluate --reference.
        data: data set: mp_20, or a folder that "flowllm data" wrote, with training and test splits.
        name: name in reports.
        source: origin of the structures, for the record; by default the data set.
    """
    from flowllm.evaluation.build import build_reference
    from flowllm.runs.progress import progress_bars

    with progress_bars() as progress:
        made = build_reference(
            data, out, name, source=source, workers=workers, overwrite=overwrite, progress=progress
        )
    say(f"{made.name}: {made.describe('train')}, {made.describe('test')}")
    say(f"flowllm evaluate runs/a --reference {out} --out runs/a/eval")


def hull(
    action: tyro.conf.Positional[Literal["convert"]],
    file: tyro.conf.Positional[Path],
    /,
    out: Path,
    overwrite: bool = False,
) -> None:
    """Convert a Materials Project phase diagram into a hull that "flowllm evaluate --hull" takes.

    The file is Matbench Discovery's 2023-02-07-ppd-mp.pkl.gz or another pickled phase diagram of
    pymatgen. Pickles can run code: only the classes of a phase diagram are allowed.

    Args:
        action: convert.
        file: the pickled phase diagram, gzipped or not.
        out: the .npz file to write.
        overwrite: replace an existing file.
    """
    from flowllm.errors import InputError
    from flowllm.runs.progress import waiting
    from flowllm.stability import convert_hull

    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; use --overwrite to replace it")
    with waiting("reading the phase diagram"):
        table = convert_hull(file, out)
    say(table.describe())
    say(f"flowllm evaluate runs/a --hull {out} --out runs/a/eval")


def export(
    source: Input,
    /,
    out: Path,
    vasp: bool = False,
    quantum_espresso: bool = False,
    ids: str | None = None,
    where: str = "all",
    relaxed: bool = True,
    conventional: bool = False,
    overwrite: bool = False,
) -> None:
    """Write input files for density functional theory, which alone decides stability.

    Args:
        source: an evaluation's folder, or anything that "flowllm evaluate" reads.
        out: folder with one subfolder per crystal.
        vasp: write VASP input; POSCAR, INCAR and KPOINTS of pymatgen's MPRelaxSet, and the names of
            the POTCARs, which you supply.
        quantum_espresso: write Quantum ESPRESSO input (pw.x); you supply the pseudopotentials.
        ids: only these crystals, separated by commas.
        where: only crystals with these flags; those of an evaluation's table, joined by commas, as
            in sun or stable,novel. Any of its true/false columns will do: valid, metastable, msun
            and so on.
        relaxed: start from relaxed structures; an evaluation that relaxed its crystals holds them.
        conventional: write conventional instead of primitive cells; for crystals that are symmetric
            within 0.01 Å. They hold up to four times the atoms.
    """
    from flowllm.errors import InputError

    if vasp == quantum_espresso:
        raise InputError("choose one of --vasp and --quantum-espresso")

    from flowllm.evaluation.selection import select
    from flowllm.export import export_crystals
    from flowllm.runs.progress import progress_bars

    named = None if ids is None else [word.strip() for word in ids.split(",") if word.strip()]
    if named == []:
        raise InputError("--ids lists no crystal")
    selected = select(source, where, named, relaxed)
    with progress_bars() as progress:
        done = export_crystals(
            "vasp" if vasp else "quantum-espresso",
            selected.crystals,
            out,
            selected.ids,
            conventional=conventional,
            inputs=[source],
            overwrite=overwrite,
            progress=lambda k, n: progress("exporting", k, n),
        )
    print_remarks(selected.notes, selected.remarks)
    for one in done:
        if one.problem:
            say(f"left out: {one.id} ({one.formula}): {one.problem}")
    say(f"{sum(not one.problem for one in done)} crystals in {out}; read {out / 'README.txt'}")

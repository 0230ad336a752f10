"""The commands: one typed function each, a thin call into the package.

The command line makes its options of their arguments and docstrings, so nothing heavy is imported
before a command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

if TYPE_CHECKING:
    from flowllm.model import FlowLLM, Stage

Device = Literal["auto", "cpu", "cuda", "mps"]
Solver = Literal["euler", "midpoint", "rk4"]
Files = tyro.conf.Positional[list[Path]]
Source = tyro.conf.Positional[str]


def generate(
    out: Path,
    num: int | None = None,
    formula: str | None = None,
    elements: str | None = None,
    num_atoms: int | None = None,
    prompt_file: Path | None = None,
    temperature: float = 0.7,
    top_p: float = 0.9,
    noise: float = 0.0,
    steps: int = 50,
    solver: Solver = "euler",
    anti_annealing: float = 0.0,
    record: bool = False,
    seed: int = 0,
    model: str = "mp20-compact",
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Generate crystals: the language model writes them, the Riemannian flow refines them.

    Args:
        out: folder for the results; open report.html in it first.
        num: how many crystals; default 16, or one for each prompt of a file.
        formula: exactly this reduced formula, as in SrTiO3, with any number of formula units that
            20 atoms have room for.
        elements: exactly these elements, as in Li,Fe,O.
        num_atoms: atoms in the primitive cell, 1 to 20; default as often as in the training data.
        prompt_file: a text file with one prompt a line; they are used in turn.
        temperature: above 0; lower writes likelier crystals, higher more various ones.
        top_p: in (0, 1]; tokens are drawn from the likeliest that add up to this probability.
        noise: standard deviation of Gaussian noise on what the language model wrote, in fractions
            of the cell, Å and degrees.
        steps: steps of the refinement; more are slower and more exact.
        solver: how the flow is integrated; midpoint takes twice, rk4 four times the time of euler.
        anti_annealing: s speeds the atoms up by 1 + s t towards the end of the flow; 0 is off.
        record: keep every step in trajectories.npz, not only the first and the last.
        seed: the same seed gives the same crystals.
        model: a folder with weights, or the name of a model that ships with the package.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.lm.settings import SamplingSettings
    from flowllm.text.formula import read_elements
    from flowllm.text.request import Request, read_prompts

    # what can be wrong is looked at before anything that takes seconds to load
    prompts = read_prompts(prompt_file) if prompt_file else ()
    named = read_elements(elements) if elements is not None else None
    request = Request(formula, named, num_atoms, prompts)
    sampling = SamplingSettings(temperature, top_p, noise)

    from flowllm.flow.refine import RefineSettings
    from flowllm.generate import GenerateSettings, generate_run
    from flowllm.model import DEFAULT_NUM
    from flowllm.progress import progress_bars

    settings = GenerateSettings(
        num=num if num is not None else len(prompts) or DEFAULT_NUM,
        request=request,
        sampling=sampling,
        refinement=RefineSettings(steps, solver, anti_annealing, record),
        seed=seed,
    )
    system = _load(model, device)
    with progress_bars() as progress:
        result = generate_run(system, settings, out, overwrite=overwrite, progress=progress)
    _print_stages(result.stages, out)


def refine(
    files: Files,
    /,
    out: Path,
    steps: int = 50,
    solver: Solver = "euler",
    anti_annealing: float = 0.0,
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
        record: keep every step in trajectories.npz, not only the first and the last.
        model: a folder with weights, or the name of a model that ships with the package.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.flow.refine import RefineSettings
    from flowllm.generate import refine_run
    from flowllm.progress import progress_bars

    settings = RefineSettings(steps, solver, anti_annealing, record)
    system = _load(model, device)
    with progress_bars() as progress:
        result, refused = refine_run(
            system, files, settings, out, overwrite=overwrite, progress=progress
        )
    print("Each structure was reduced to its primitive Niggli cell first.")
    for message in refused:
        print(f"left out: {message}", file=sys.stderr)
    _print_stages(result.stages, out)


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
    from flowllm.progress import progress_bars

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


def train_lm(
    out: Path,
    data: str = "mp_20",
    epochs: int = 14,
    batch_size: int = 64,
    learning_rate: float = 2.5e-3,
    weight_decay: float = 0.1,
    optimizer: Literal["muon", "adamw"] = "muon",
    hidden: int = 224,
    layers: int = 6,
    heads: int = 7,
    feed_forward: int = 576,
    seed: int = 0,
    threads: int = 0,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Train the compact language model on crystals as text; an interrupted run goes on.

    Args:
        out: folder for the model, its checkpoints and log.jsonl.
        data: mp_20, a folder that "flowllm data" wrote, a CSV file or a folder of CIF files.
        epochs: passes over the training split.
        batch_size: crystals a step.
        learning_rate: peak of the schedule.
        weight_decay: decoupled decay of the matrices; the more passes, the more of it.
        optimizer: Muon for the matrices and AdamW for the rest, or AdamW for all.
        hidden: width of the model.
        layers: transformer blocks.
        heads: attention heads.
        feed_forward: width inside the feed-forward blocks.
        seed: of weights, order and prompts.
        threads: processor threads; 0 takes all.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.lm.settings import CompactConfig, LMTrainSettings

    sizes = CompactConfig(hidden, layers, heads, feed_forward)
    settings = LMTrainSettings(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        optimizer=optimizer,
        seed=seed,
        threads=threads,
    )
    from flowllm.pipeline import train_compact

    figures = train_compact(data, out, sizes, settings, device=device, overwrite=overwrite)
    print(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))


def pair(
    lm: Path,
    out: Path,
    data: str = "mp_20",
    num_pairs: int = 24_000,
    samples_per_target: int = 2,
    keep: Literal["closest", "all"] = "closest",
    perturbed: int = 0,
    temperature: float = 0.8,
    top_p: float = 0.95,
    noise: float = 0.0,
    alignment: Literal["translation", "hungarian", "list"] = "translation",
    seed: int = 0,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Pair training crystals with samples of the language model, for the flow to learn from.

    Args:
        lm: folder that "flowllm train-lm" wrote.
        out: folder for the pairs.
        data: mp_20, a folder that "flowllm data" wrote, a CSV file or a folder of CIF files.
        num_pairs: how many targets are drawn from the training split.
        samples_per_target: samples drawn for one target.
        keep: of the samples of one target keep the one closest to it, or all.
        perturbed: how many pairs of a noisy copy and its target to add.
        temperature: of sampling; above 0.
        top_p: of sampling; in (0, 1].
        noise: standard deviation of Gaussian noise on the samples, in fractions of the cell, Å and
            degrees.
        alignment: how the atoms of a sample find those of its target; by element with the best
            common translation, by element, or in the order of the list.
        seed: of everything random.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.lm.settings import SamplingSettings
    from flowllm.pipeline import PairSettings, make_pairs
    from flowllm.progress import progress_bars

    settings = PairSettings(
        SamplingSettings(temperature, top_p, noise),
        num_pairs=num_pairs,
        samples_per_target=samples_per_target,
        keep=keep,
        perturbed=perturbed,
        alignment=alignment,
        seed=seed,
    )
    with progress_bars() as progress:
        summary = make_pairs(
            lm,
            data,
            out,
            settings,
            device=device,
            overwrite=overwrite,
            progress=lambda done, total: progress("pairs", done, total),
        )
    for name, value in summary.items():
        print(f"{name}: {value}")


def train_flow(
    pairs: Path,
    out: Path,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    optimizer: Literal["muon", "adamw"] = "muon",
    hidden: int = 256,
    layers: int = 6,
    cell_map: Literal["log-matrix", "logit", "flowmm"] = "log-matrix",
    coord_weight: float = 200.0,
    max_distance: float = 0.25,
    max_strain: float = 10.0,
    weight_decay: float = 0.0,
    coord_noise: float = 0.0,
    seed: int = 0,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Train the Riemannian flow on pairs; an interrupted run goes on.

    Args:
        pairs: folder that "flowllm pair" wrote.
        out: folder for the model, its checkpoints and log.jsonl.
        epochs: passes over the pairs.
        batch_size: pairs a step.
        learning_rate: peak of the schedule.
        optimizer: Muon for the matrices and AdamW for the rest, or AdamW for all.
        hidden: width of the network.
        layers: rounds of messages.
        cell_map: how the flow sees a cell; as the logarithm of its metric matrix, as lengths and
            angles mapped to the line, or with the narrower bounds of FlowMM.
        coord_weight: lambda_f of the loss, on coordinates in fractional units; that of the
            standardised cell is 1.
        max_distance: leave out pairs with a larger mean squared torus distance per atom.
        max_strain: leave out pairs whose cells differ by a larger relative stretch.
        weight_decay: decoupled decay of the weights.
        coord_noise: standard deviation of Gaussian noise on the samples' coordinates, fractional.
        seed: of weights, order, times and noise.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.flow import FlowTrainSettings, VelocityConfig
    from flowllm.pipeline import train_on_pairs
    from flowllm.progress import progress_bars

    settings = FlowTrainSettings(
        network=VelocityConfig(hidden=hidden, layers=layers, cell_map=cell_map),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer=optimizer,
        coord_weight=coord_weight,
        max_distance=max_distance,
        max_strain=max_strain,
        weight_decay=weight_decay,
        coord_noise=coord_noise,
        seed=seed,
        device=device,
        disable_tqdm=True,
    )
    with progress_bars() as progress:
        train_on_pairs(
            pairs,
            out,
            settings,
            overwrite=overwrite,
            progress=lambda done, total: progress("steps", done, total),
        )
    print(f"the flow is in {out / 'model'}")


def combine(
    lm: Path, flow: Path, out: Path, data: str = "mp_20", half: bool = True, overwrite: bool = False
) -> None:
    """Join a language model and a flow into one folder that `generate --model` takes.

    Args:
        lm: folder that "flowllm train-lm" wrote.
        flow: folder that "flowllm train-flow" wrote.
        out: folder of the whole system.
        data: mp_20, or a folder that "flowllm data" wrote; generate draws sizes of cells as often
            as its training split has them.
        half: keep the weights in float16 on disk, half the size.
        overwrite: replace a system in the output folder.
    """
    from flowllm.pipeline import combine as join

    join(lm, flow, data, out, half=half, overwrite=overwrite)
    print(f"flowllm generate --model {out} --out runs/mine")


def measure(
    out: Path,
    model: str = "mp20-compact",
    data: str = "mp_20",
    num: int = 1000,
    num_match: int = 500,
    temperature: float = 0.7,
    top_p: float = 0.9,
    steps: int = 50,
    solver: Solver = "euler",
    anti_annealing: float = 0.0,
    seed: int = 0,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Measure a model: validity, novelty and the match with test structures, before and after.

    Args:
        out: folder for the crystals and figures.json.
        model: a folder with weights, or the name of a model that ships with the package.
        data: mp_20, or a folder that "flowllm data" wrote, with training and test splits.
        num: unconditional crystals.
        num_match: test crystals whose composition is given, one try each; 0 leaves this out.
        temperature: of sampling.
        top_p: of sampling.
        steps: steps of the refinement; more are slower and more exact.
        solver: how the flow is integrated; midpoint takes twice, rk4 four times the time of euler.
        anti_annealing: s speeds the atoms up by 1 + s t towards the end of the flow; 0 is off.
        seed: of everything random.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.flow.refine import RefineSettings
    from flowllm.lm.settings import SamplingSettings
    from flowllm.measure import MeasureSettings, measure_model, print_figures
    from flowllm.progress import progress_bars

    settings = MeasureSettings(
        model=model,
        data=data,
        num=num,
        num_match=num_match,
        sampling=SamplingSettings(temperature, top_p),
        refinement=RefineSettings(steps, solver, anti_annealing),
        seed=seed,
    )
    with progress_bars() as progress:
        figures = measure_model(
            settings, out, device=device, overwrite=overwrite, progress=progress
        )
    print_figures(figures)


def bench(
    model: str = "mp20-compact",
    num: int = 256,
    steps: int = 50,
    threads: int = 0,
    device: Device = "auto",
) -> None:
    """Time the stages, and compare each network with the machine's own matrix products.

    Args:
        model: a folder with weights, or the name of a model that ships with the package.
        num: crystals to generate.
        steps: steps of the refinement.
        threads: processor threads; 0 takes all.
        device: where to compute.
    """
    from flowllm.bench import bench_model, print_bench

    print_bench(bench_model(_load(model, device), num, steps, device, threads))


COMMANDS: dict[str, Callable[..., None]] = {
    "generate": generate,
    "refine": refine,
    "data": data,
    "train-lm": train_lm,
    "pair": pair,
    "train-flow": train_flow,
    "combine": combine,
    "measure": measure,
    "bench": bench,
}


def _load(model: str, device: str) -> FlowLLM:
    from flowllm.progress import waiting

    with waiting("loading the model"):
        from flowllm.model import FlowLLM

        return FlowLLM.from_pretrained(model, device)


def _print_stages(stages: Sequence[Stage], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table("stage", "crystals", "rejected", "seconds")
    for stage in stages:
        shown.add_row(stage.name, str(stage.crystals), str(stage.rejected), f"{stage.seconds:.1f}")
    console = Console()
    console.print(shown)
    console.print(f"open {out / 'report.html'}", soft_wrap=True)

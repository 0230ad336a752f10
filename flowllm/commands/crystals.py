"""The commands that make crystals: generate and refine."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from flowllm.commands.flatten import FromPart
from flowllm.commands.options import (
    SHIPPED_MODEL,
    Device,
    Files,
    load_system,
    print_remarks,
    print_stages,
    writes_freely,
)
from flowllm.runs.terminal import say

if TYPE_CHECKING:
    from flowllm.workflows.settings import GenerateSettings


def generate(
    out: Path,
    settings: GenerateSettings,
    num: int | None = None,
    prompt_file: Path | None = None,
    model: str = SHIPPED_MODEL,
    device: Device = "auto",
    texts: bool = False,
    overwrite: bool = False,
) -> None:
    """Generate crystals: the language model writes them, the Riemannian flow refines them.

    Any subset of the conditions can be requested, from formula to space-group. Values outside the
    training data give a warning with their range.

    Args:
        out: folder for the results; open report.html first.
        num: number of crystals; default 16, or one for each prompt of a file.
        prompt_file: text file with one prompt per line, used in turn: standard sentences, or a bare
            formula. Empty lines and lines that begin with # are skipped.
        texts: show the texts of some crystals in report.html; token by token, also where the
            language model wrote none of them, which takes some seconds.
    """
    from flowllm.text.prompt_file import read_prompts

    # what can be wrong is looked at before anything that takes seconds to load
    prompts = read_prompts(prompt_file, writes_freely(model)) if prompt_file else ()
    settings = replace(
        settings,
        num=num if num is not None else len(prompts) or settings.num,
        request=replace(settings.request, prompts=prompts),
    )

    from flowllm.runs.progress import progress_bars
    from flowllm.workflows.generate import generate_run

    system = load_system(model, device)
    with progress_bars() as progress:
        result = generate_run(
            system, settings, out, texts=texts, overwrite=overwrite, progress=progress
        )
    if result.decoding.tokens:  # none of a prior without a language model
        say(f"decoding: {result.decoding}")
    print_stages(result.stages, out)


def refine(
    files: Files,
    /,
    out: Path,
    settings: Annotated[Any, FromPart("refiner")],
    model: str = SHIPPED_MODEL,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Refine structures from any source with the Riemannian flow.

    Each is reduced to its primitive Niggli cell first; cells that are too large are left out with a
    message, as are crystals that cannot be parsed or have partial occupancy.

    Args:
        files: files of crystals (CIF, POSCAR, extended XYZ, JSON, a table, .npz) or folders of
            them, one or more.
        out: folder for the results; laid out as by generate.
    """
    from flowllm.inputs.remarks import summary
    from flowllm.runs.progress import progress_bars
    from flowllm.workflows.generate import FoundCrystals, refine_run

    system = load_system(model, device)
    read: list[FoundCrystals] = []
    with progress_bars() as progress:
        result, refused = refine_run(
            system, files, settings, out, overwrite=overwrite, progress=progress,
            on_read=read.append,
        )  # fmt: skip
    say("Each structure was reduced to its primitive Niggli cell first.")
    for message in refused:
        say(f"left out: {message}", sys.stderr)
    for found in read:
        print_remarks(found.notes, summary(found.remarks))
    print_stages(result.stages, out)

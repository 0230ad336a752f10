"""The command line: parse arguments, call a command, turn errors into a message and exit code."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TextIO

import tyro

from flowllm.commands import COMMANDS, commands_for
from flowllm.commands.help import WORDS as HELP
from flowllm.commands.help import page
from flowllm.commands.options import check_empty, check_repeated
from flowllm.errors import InputError
from flowllm.runs.folder import package_version
from flowllm.runs.terminal import accept_all_characters, say
from flowllm.runs.texts import printable

DESCRIPTION = """Generate crystals: a language model writes them, a Riemannian flow refines them.

Begin with: flowllm generate --num 16 --out runs/first
"""
FULL_DISK = ("No space left on device", "PytorchStreamWriter failed", "unexpected pos")
"""What safetensors and torch say when a file could not be written to its end."""


LONGEST_MESSAGE = 2000
"""Characters of a message; one that quotes an input may be as long as the input."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 on success, 2 for bad input, 130 when interrupted, 141 for a closed pipe.

    Args:
        arguments: the words after "flowllm"; default those of this process.
    """
    accept_all_characters()
    quiet_libraries()
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:
        print(f"flowllm {package_version()}")
        return 0
    try:
        check_empty(words)
        check_repeated(words)
        if words and words[0] in COMMANDS and HELP & set(words):
            print(page(words, COMMANDS[words[0]].flat(words[1:])), flush=True)
            raise SystemExit(0)
        try:
            tyro.extras.subcommand_cli_from_dict(
                commands_for(words),
                prog="flowllm",
                description=DESCRIPTION,
                args=words or ["--help"],
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            )
        finally:
            sys.stdout.flush()  # that nobody reads shows here, not when the process ends: code 120
    except KeyboardInterrupt:
        print(
            "\ninterrupted; finished parts are kept, and the same command resumes", file=sys.stderr
        )
        return 130
    except BrokenPipeError:  # whoever read the output, as in "| head", has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        message = message_of(error)
        if message is None:
            raise
        if os.environ.get("RANK", "0") == "0":  # once, where several processes run the command
            say(f"flowllm: {printable(message, LONGEST_MESSAGE)}", sys.stderr)
        return 2
    return 0


def message_of(error: Exception) -> str | None:
    """A one-line message if the input or the machine is at fault; None for a bug here."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.filename or 'the system'}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "this machine has too little memory; request less at once"
    if any(words in str(error) for words in FULL_DISK):
        return "a file could not be written completely; the disk is full"
    return None


def quiet_libraries() -> None:
    """Silence messages and progress bars of libraries; show our own warnings as one line each."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # it would write into the progress bars
    if "transformers" in sys.modules:  # it has read the variables already
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
    here = str(Path(__file__).parent)

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if filename.startswith(here) or category.__module__.startswith("flowllm."):
            say(f"flowllm: note: {printable(message, LONGEST_MESSAGE)}", sys.stderr)

    warnings.showwarning = show


if __name__ == "__main__":
    raise SystemExit(main())

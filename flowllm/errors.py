"""The one user-facing error: its message names the cause and the remedy."""

import re


class InputError(ValueError):
    """Input that cannot be used. The command line prints the message and exits with code 2."""


_CLASS = re.compile(r"(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Warning)(?::|\(\)?|\b)\s*")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or a description if it has none.

    Names of classes, which say nothing to a person, are left out.
    """
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])  # without the quotation marks that KeyError adds
        text = text if " " in text else f"{text} is missing"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror  # without number and path, which the message has already
    else:
        text = str(error)
    lines = _CLASS.sub("", text).strip().splitlines()
    if lines:
        return lines[0][:200]
    if isinstance(error, EOFError):
        return "it ends too early"
    return "there is too little memory" if isinstance(error, MemoryError) else "it is damaged"

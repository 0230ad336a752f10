"""The one error that is meant for a person: its message names the culprit and what to do."""


class InputError(ValueError):
    """Input that cannot be used. The command line prints the message and exits with code 2."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__

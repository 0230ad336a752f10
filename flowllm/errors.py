"""The one error that is meant for a person: its message names the culprit and what to do."""


class InputError(ValueError):
    """Input that cannot be used. The command line prints the message and exits with code 2."""

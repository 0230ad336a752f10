"""Settings of the priors that leave species open; kept apart from the code that needs torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OpenSettings:
    """A base distribution has no settings."""

"""The parts of a system: a prior that draws crystals and a refiner that moves them.

A class that follows one of these protocols works with every command, the playground and the viewers
once it is registered (`flowllm.systems.registry`); `flowllm.systems.testing` checks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.systems.watch import UNWATCHED, Watch


class Part(Protocol):
    """A prior or a refiner: it can be saved, loaded and identified.

    Attributes:
        kind: the name under which it is registered, as in "flow".
        label: what its stage of a run is called, as in "Riemannian flow".
        Settings: a frozen dataclass of what can be set about its work. Every field has a default
            and is described in the docstring's `Attributes`; values out of range raise `InputError`
            in `__post_init__`. Options of the command line and fields of the playground are made
            of it.
    """

    @property
    def kind(self) -> str:
        """The name under which it is registered."""
        ...

    @property
    def label(self) -> str:
        """The name of its stage in a run."""
        ...

    @property
    def Settings(self) -> type[Any]:
        """The dataclass of its settings."""
        ...

    def save(self, folder: Path, half: bool = False) -> None:
        """Write everything that `load` needs into a folder, which is made if missing.

        Args:
            folder: of this part alone.
            half: weights in float16.
        """
        ...

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Read what `save` wrote.

        Args:
            folder: of this part alone.
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            InputError: something is missing or damaged; the file is named.
        """
        ...

    def digest(self) -> str:
        """A short hash of everything that its crystals depend on, besides settings and seeds.

        Two parts that can behave differently have different digests; a part that was saved (not in
        half precision) and loaded has the same.
        """
        ...


class Prior(Part, Protocol):
    """Draws crystals for conditions.

    Attributes:
        exact: names of the conditions that every crystal keeps to.
        heeded: names of further conditions that it takes into account as well as it can. A request
            of any other condition is refused before the prior is called.
    """

    @property
    def exact(self) -> frozenset[str]:
        """Names of the conditions that every crystal keeps to."""
        ...

    @property
    def heeded(self) -> frozenset[str]:
        """Names of the conditions that it takes into account without a guarantee."""
        ...

    def check(self, asked: Conditions) -> None:
        """Check that crystals can be drawn for these conditions, before any work is done.

        Raises:
            InputError: it cannot; what is wrong is named.
        """
        ...

    def sample(
        self,
        asked: Sequence[Conditions],
        settings: Any,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> CrystalBatch:
        """Draw at most one crystal for each of P conditions.

        A crystal depends on its own conditions, the settings and its own seed alone, not on what
        is drawn beside it.

        Args:
            asked: P conditions.
            settings: an instance of `Settings`.
            seeds: P seeds, whole numbers of at least 0.
            watch: `watch.step()` is called before every step, `watch.finished(n)` when n more
                crystals are finished, and `watch.event(...)` with what happens, if anything is
                worth telling: `Drawn` for a crystal that is there before the others, `Rejected`
                for a failed attempt.

        Returns:
            Crystals in the order of the conditions, whose ids are positions: "0" to "P - 1". One
            that was rejected is missing, and is asked for again with another seed. Atomic number 0
            leaves a species open for the refiner.

        Raises:
            InputError: the conditions cannot be met.
            Stopped: of `watch.step`, which is passed on.
        """
        ...


class Refiner(Part, Protocol):
    """Moves crystals to better ones.

    Attributes:
        moves: which of "species", "coords" and "lattice" it may change.
    """

    @property
    def moves(self) -> frozenset[str]:
        """Which of "species", "coords" and "lattice" it may change."""
        ...

    def refine(
        self,
        crystals: CrystalBatch,
        settings: Any,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
        start: float = 0.0,
    ) -> Trajectory:
        """The trajectories of B crystals, in their order and with their ids.

        Numbers and order of the atoms stay; species may change from frame to frame where `moves`
        says so. A crystal's trajectory depends on itself, the settings and its own seed alone (to
        within rounding).

        Args:
            crystals: B crystals of a prior or of any other origin.
            settings: an instance of `Settings`.
            seeds: B seeds, whole numbers of at least 0; a deterministic refiner passes over them.
                Crystals of the system's own prior come with the seeds that they were drawn with.
            watch: as for a prior.
            start: the time in [0, 1) at which the crystals enter, 0 at the prior and 1 at the data.

        Returns:
            Frames at rising times: the first holds the crystals as given, the last is the result.
            All crystals share the times.

        Raises:
            InputError: a crystal cannot be refined; its id is named.
            Stopped: of `watch.step`, which is passed on.
        """
        ...


@runtime_checkable
class Prompted(Protocol):
    """Optional interface of a prior that reads its conditions as text."""

    def prompt(self, asked: Conditions) -> str:
        """The text that it reads, which records and events of a run show."""
        ...


@runtime_checkable
class Limitable(Protocol):
    """Optional interface of a prior that could write elements absent from its training data."""

    def limited_to(self, elements: Iterable[str]) -> Any:
        """The same prior, restricted to some elements unless others are requested."""
        ...


@runtime_checkable
class Sizing(Protocol):
    """Optional interface of a prior that chooses the number of atoms for some conditions."""

    def chooses_size(self, asked: Conditions) -> bool:
        """Whether it does so for these conditions, which leave the number open."""
        ...


@runtime_checkable
class Opening(Protocol):
    """Optional interface of a prior that leaves species open (0) for some conditions."""

    def leaves_open(self, asked: Conditions) -> bool:
        """Whether it leaves all species open for these conditions; otherwise none."""
        ...


@runtime_checkable
class Selective(Protocol):
    """Optional interface of a refiner that takes only known or only open species."""

    def check_species(self, are_open: bool) -> None:
        """Check that it takes crystals whose species are all open, or all known.

        Raises:
            InputError: it does not.
        """
        ...


@runtime_checkable
class Counted(Protocol):
    """Optional interface for `flowllm bench` to count the work of a part's network."""

    def units(self, crystals: CrystalBatch, settings: Any) -> tuple[str, int]:
        """The unit of its work, as in "tokens", and the number spent on some of its crystals."""
        ...

"""Priors in two parts: where the species come from, and where their atoms are put."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.base.geometry import Geometry, SimpleBase, Substitution
from flowllm.methods.base.species import SpeciesSource, TrainingSpecies, WrittenSpecies
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.runs.files import write_json
from flowllm.runs.identity import digest
from flowllm.runs.json_object import JsonObject
from flowllm.systems.parts import PartRecord
from flowllm.systems.registry import prior_kind
from flowllm.systems.watch import UNWATCHED, Watch

KINDS = ("types", "substitution", "compositions")
TRAINING, BASE, LM = "training.npz", "base.json", "lm"
LANGUAGE_MODEL = "language_model"  # in BASE: where it lies, if not in LM
FIRST_VERSION = "system.json"  # where the first version of systems kept what is in BASE now


class BasePrior:
    """A prior that draws species from one source and places the atoms by another.

    With `WrittenSpecies` and `SimpleBase` it is FlowLLM-Types of the paper's ablation (section 4).

    Args:
        species: of what the atoms are.
        geometry: where they are.
    """

    label = "base distribution"
    Settings = SamplingSettings

    def __init__(self, species: SpeciesSource, geometry: Geometry) -> None:
        self.species, self.geometry = species, geometry

    @classmethod
    def make(
        cls,
        kind: str,
        language_model: LanguageModelPrior | None,
        training: CrystalBatch | None,
        shipped: PartRecord | None = None,
    ) -> BasePrior:
        """A prior of a kind.

        Args:
            kind: a name in `KINDS`.
            language_model: needed by all but "compositions".
            training: crystals; the geometry is fitted to them.
            shipped: where the language model lies, if it is to be named in files, not copied.

        Raises:
            InputError: no such kind, or a part that it needs is missing.
        """
        if kind not in KINDS:
            raise InputError(f"unknown prior {kind!r}; choose from {', '.join(KINDS)}")
        if kind != "compositions" and language_model is None:
            raise InputError(f"the prior {kind!r} needs a language model")
        if training is None:
            raise InputError(f"the prior {kind!r} needs training crystals")
        base = SimpleBase.fit(training)
        if kind == "compositions":
            return cls(TrainingSpecies(training), base)
        assert language_model is not None
        places = Substitution(training, base) if kind == "substitution" else base
        return cls(WrittenSpecies(language_model, shipped), places)

    @property
    def kind(self) -> str:
        """The name of its kind in `flowllm.systems.registry`; its class for a custom one."""
        if isinstance(self.geometry, SimpleBase):
            if isinstance(self.species, TrainingSpecies):
                return "compositions"
            if isinstance(self.species, WrittenSpecies):
                return "types"
        if isinstance(self.geometry, Substitution) and isinstance(self.species, WrittenSpecies):
            return "substitution"
        return f"{type(self.species).__name__} in {type(self.geometry).__name__}"

    @property
    def exact(self) -> frozenset[str]:
        """Names of the conditions that every crystal satisfies: those of the species source."""
        return self.species.exact

    @property
    def heeded(self) -> frozenset[str]:
        """Names of the conditions that the species take into account."""
        return self.species.heeded

    def limited_to(self, elements: Iterable[str]) -> BasePrior:
        """The same prior, restricted to some elements unless others are requested.

        Compositions of training crystals contain no others anyway.
        """
        if not isinstance(self.species, WrittenSpecies):
            return self
        return BasePrior(self.species.limited_to(elements), self.geometry)

    def check(self, asked: Conditions) -> None:
        """Check that there are species for these conditions.

        Raises:
            InputError: there are none.
        """
        self.species.check(asked)

    def sample(
        self,
        asked: Sequence[Conditions],
        settings: SamplingSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> CrystalBatch:
        """At most one crystal for each conditions; an id is their position."""
        crystals = []
        found = self.species.compositions(asked, settings, seeds, watch)
        for index, (composition, seed) in enumerate(zip(found, seeds, strict=True)):
            watch.step()
            if composition is not None:
                crystals.append(self.geometry.place(composition, seed).replace(ids=[str(index)]))
            watch.finished()
        return CrystalBatch.concatenate(crystals)

    def digest(self) -> str:
        """A short hash of everything that the crystals depend on."""
        return digest(self.kind, self.species.digest(), self.geometry.digest())

    # ---- files -----------------------------------------------------------------------------

    def save(self, folder: Path, half: bool = False) -> None:
        """Write base.json and, where the kind needs them, lm/ and training.npz.

        A language model of another model that ships with the package is named in base.json, if it
        was when it was loaded, and not copied.

        Raises:
            InputError: species or geometry are of another making.
        """
        prior_kind(self.kind)
        if isinstance(self.species, WrittenSpecies) and self.species.shipped is None:
            self.species.prior.save(folder / LM, half)
        self.save_geometry(folder)

    def save_geometry(self, folder: Path) -> None:
        """Write all but the language model, which may lie in the folder already."""
        folder.mkdir(parents=True, exist_ok=True)
        training = self._training()
        if training is not None:
            training.save(folder / TRAINING)
        geometry = self.geometry
        base = geometry.otherwise if isinstance(geometry, Substitution) else geometry
        assert isinstance(base, SimpleBase)
        about: dict[str, Any] = {"prior": self.kind, "base": asdict(base)}
        if isinstance(self.species, WrittenSpecies) and self.species.shipped is not None:
            about[LANGUAGE_MODEL] = self.species.shipped.to_json()
        write_json(folder / BASE, about)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> BasePrior:
        """Read what `save` wrote, or a system's folder of the first version.

        Raises:
            InputError: a file is missing or damaged.
        """
        file = folder / BASE if (folder / BASE).is_file() else folder / FIRST_VERSION
        about = JsonObject.read(file)
        kind, stored = about.text("prior"), about.record("base")
        mean, std = (stored.numbers(name, length=3) for name in ("log_mean", "log_std"))
        try:
            base = SimpleBase((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
        except InputError as error:
            raise InputError(f"{file}: {error}") from None
        if kind not in KINDS:
            raise InputError(f"{file}: unknown prior {kind!r}; choose from {', '.join(KINDS)}")
        if kind == "compositions":
            return cls(TrainingSpecies(CrystalBatch.load(folder / TRAINING)), base)
        shipped = None
        if LANGUAGE_MODEL in about:
            shipped = PartRecord.read(about.record(LANGUAGE_MODEL))
            if not shipped.model or shipped.kind != LanguageModelPrior.kind:
                raise InputError(f"{file}: {LANGUAGE_MODEL} does not belong to a model that ships")
        place = folder / LM if shipped is None else shipped.place(folder)
        species = WrittenSpecies(LanguageModelPrior.load(place, device), shipped)
        if kind == "types":
            return cls(species, base)
        return cls(species, Substitution(CrystalBatch.load(folder / TRAINING), base))

    def _training(self) -> CrystalBatch | None:
        """The training crystals to draw from, if any."""
        if isinstance(self.geometry, Substitution):
            return self.geometry.training
        return self.species.crystals if isinstance(self.species, TrainingSpecies) else None

"""PhaseDiagramView."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.stability.hull_table import HullTable, load_hull
from flowllm.stability.phase_diagram import (
    PlacedCrystal,
    checked_system,
    elements_of,
    phase_diagram,
    place_of,
)
from flowllm_widgets.phase_diagram.figure import phase_figure
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.style import Panel

NOTE = (
    "Known phases are from the Materials Project (density functional theory). CHGNet energies are "
    "off by about 0.02 eV/atom on known crystals."
)


class PhaseDiagramView(Panel):
    """The stable phases of two to four elements, and where crystals lie among them.

    A field changes the chemical system; of crystals with energies it says how far above the hull
    they lie and what would be more stable.

    Args:
        system: as in "Li-Fe-O"; without it the elements of the crystals.
        crystals: crystals to place; those with other elements are left out of a diagram.
        energies: (B,) total energies of the crystals in eV/atom, as `flowllm.relax` gives them.
        hull: formation energies of the known phases; the shipped hull if left out.

    Raises:
        InputError: neither system nor crystals, a system that cannot be drawn, or another number
            of energies than crystals.
    """

    def __init__(
        self,
        system: str = "",
        crystals: CrystalBatch | None = None,
        energies: Sequence[float] = (),
        hull: HullTable | None = None,
    ) -> None:
        super().__init__()
        self._hull = load_hull() if hull is None else hull
        self.placed: list[PlacedCrystal] = []
        self.message = MessageLine()
        self.places = ipywidgets.HTML()
        self.system = ipywidgets.Text(
            description="Elements", placeholder="as in Li-Fe-O", continuous_update=False
        )
        self._slot = ipywidgets.VBox().add_class("flowllm-fit")
        self._note = ipywidgets.HTML(f'<div class="flowllm-caption">{html.escape(NOTE)}</div>')
        self.system.observe(lambda change: self._draw(), "value")
        self.fill([self.system, self._slot, self.places, self.message, self._note, Frame()])
        if crystals is not None:
            self.show(crystals, energies, system)
        elif system:
            self.system.value = "-".join(elements_of(system))
        else:
            raise InputError("a phase diagram needs a chemical system, as in Li-Fe-O, or crystals")

    def show(self, crystals: CrystalBatch, energies: Sequence[float], system: str = "") -> None:
        """Place crystals, and draw the diagram of their elements, or of a system.

        Args:
            crystals: B crystals.
            energies: (B,) total energies in eV/atom.
            system: as in "Li-Fe-O"; the elements of the crystals if left out.

        Raises:
            InputError: another number of energies, an element without reference, or a system that
                cannot be drawn.
        """
        formation = self._hull.references.formation_energy(crystals, energies)
        faults = self._hull.faults(crystals, energies)
        if any(faults):
            raise InputError(next(fault for fault in faults if fault))
        amounts = [dict(one) for one in crystals.compositions]
        elements = elements_of(system) if system else checked_system(
            [element for one in amounts for element in one]
        )  # fmt: skip
        self.placed = [
            PlacedCrystal(formula, one, float(energy))
            for formula, one, energy in zip(crystals.formulas, amounts, formation, strict=True)
        ]
        if self.system.value == "-".join(elements):
            self._draw()
        else:
            self.system.value = "-".join(elements)

    @shows_errors
    def _draw(self) -> None:
        self.message.clear()
        elements = elements_of(self.system.value)
        diagram = phase_diagram(elements, self._hull)
        placed = [one for one in self.placed if set(one.composition) <= set(elements)]
        self._slot.children = (Plot(phase_figure(diagram, placed)),)
        lines = [place_of(one, diagram).in_words(one.name) for one in placed]
        left = len(self.placed) - len(placed)
        if left:
            lines.append(f"{left} crystals contain other elements and are not in this diagram.")
        self.places.value = "".join(f"<div>{html.escape(line)}</div>" for line in lines)

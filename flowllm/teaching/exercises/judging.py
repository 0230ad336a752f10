"""Exercises on metrics and their interpretation: notebooks 06 and 07."""

from __future__ import annotations

from flowllm.teaching.exercises.checking import Exercise

JUDGING: dict[str, Exercise] = {
    "06.1": Exercise(
        0.05,
        (
            (0.30, "That is the distance to AB alone; a mixture of AB and B competes."),
            (-0.20, "That is the formation energy."),
            (-0.05, "Mind the sign: the crystal lies above the mixture."),
            (-0.25, "That is the energy of the mixture; how far above it lies the crystal?"),
            (0.175, "Half of the atoms of AB3 belong to AB and half to B: weight by atoms."),
        ),
        "Which mixture of AB and B has the composition AB3, and what is its energy per atom?",
        "By the limit of 0.1 eV/atom, it is metastable.",
        tolerance=1e-4,
    ),
    "06.2": Exercise(
        0.3,
        (
            (0.375, "Rejected samples were generated as well: divide by ten."),
            (0.4, "Either group a is counted twice, or group b, which is known, is counted."),
            (0.2, "Group d has a stable and novel member, although it is not its first."),
            (0.5, "Below 0.1 eV/atom is metastable; stable is below 0."),
            (3, "That is the number of groups; the rate is over everything generated."),
            (30, "Give a fraction, not a percentage."),
        ),
        "Count groups with a member that is both stable and novel; divide by everything generated.",
        "Groups a, d and f, of ten.",
        tolerance=1e-3,
    ),
    "07.1": Exercise(
        28,
        (
            (7, "That makes the difference one standard error."),
            (12, "The variances of both rates add up; this uses only the first."),
            (16, "The variances of both rates add up; this uses only the second."),
            (14, "Twice the standard error is four times the variance: square the 2."),
        ),
        "Solve 0.25 = 2 √((0.75 × 0.25 + 0.5 × 0.5) / n) for n.",
        "For 55 % against 50 % it would be 796.",
        tolerance=0.5,
    ),
    "07.2": Exercise(
        2.163,
        (
            (0.541, "The conventional cell holds four formula units."),
            (1.303, "The volume is in Å³ and the mass in u: 1 u/Å³ is 1.6605 g/cm³."),
            (0.326, "The cell holds four formula units, and 1 u/Å³ is 1.6605 g/cm³."),
        ),
        "Mass of four formula units over the volume of the cube; 1 u/Å³ is 1.6605 g/cm³.",
        "Handbooks give 2.17 g/cm³.",
        tolerance=0.01,
    ),
}

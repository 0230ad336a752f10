"""The tables of results that are generated: which figures, of which evaluations, on which page."""

from __future__ import annotations

from recipes.results_columns import (
    COUNT,
    Elsewhere,
    Mean,
    Measured,
    Row,
    Table,
    TrainingSplit,
    bare,
    one,
)

CONTACT, UNUSUAL = (
    "contact below 0.7 of the covalent radii",
    "contact shorter than in known crystals",
)
P1, FINE_P1 = "P1, symprec 0.1", "P1, symprec 0.01"
DROP, MEDIAN_DROP = "energy drop", "energy drop, median"
RMSD = "RMSD to the relaxed state"
MATCHES, VOLUME = "matches its relaxed state", "volume changes by over 5 %"
NEW, STRUCTURE, COMPOSITION = "unique and novel", "valid structure", "valid composition"
STABLE, SUN, BELOW, MSUN = "stable (< 0)", "S.U.N. (< 0)", "metastable (< 0.1)", "M.S.U.N. (< 0.1)"
BELOW_008, MSUN_008 = "metastable (< 0.08)", "M.S.U.N. (< 0.08)"
MATCH, RMSE = "match", "RMSE"
SHIFTED = ", shifted"
DEFAULT = "mp20-symmetric, mean"
COMPACT = "mp20-compact-0"
SYMMETRIC_TITLE = "`mp20-symmetric`, 4 × 200"

TABLES = {
    "evaluation": Table(
        {
            "FlowLLM, shipped weights": Measured((COMPACT,)),
            "DiffCSP's samples": Elsewhere("DiffCSP's samples"),
            "training split": TrainingSplit(COMPACT),
            "published for DiffCSP": Elsewhere("published for DiffCSP"),
            "published for FlowLLM (70B, τ 0.7, P 0.9)": Elsewhere("published for FlowLLM"),
        },
        (
            one(f"{COUNT}{COMPOSITION}", "crystals"),
            one("valid structure, no self-images", "structural validity"),
            one(COMPOSITION, "compositional validity"),
            one("recall", "recall ¹"),
            one("precision"),
            one("wdist density, all valid"),
            one("wdist N_el, all valid"),
            one("unique"),
            one("novel"),
            one("structural diversity"),
            one("compositional diversity"),
            one("distinct prototypes"),
            one("space group other than P1", "space group other than P1 (symprec 0.1; see below)"),
        ),
    ),
    "relaxed": Table(
        {
            "FlowLLM, shipped weights": Measured((COMPACT,)),
            "DiffCSP's samples": Elsewhere("DiffCSP's samples, relaxed"),
            "published for DiffCSP, CHGNet": Elsewhere("published for DiffCSP, CHGNet"),
            "published for FlowLLM": Elsewhere("published for FlowLLM"),
        },
        (
            one(f"{COUNT}relaxation converged", "crystals"),
            one("relaxation converged", "converged"),
            one(MATCHES),
            Row("RMSD to it; normalised", (RMSD, f"{RMSD}, normalised")),
            one(DROP),
            one(MEDIAN_DROP),
            one(VOLUME),
            one("optimiser steps"),
            one("E_hull", "E_hull, mean"),
            *(
                one(figure + shift)
                for figure in (BELOW, MSUN, BELOW_008, MSUN_008, STABLE, SUN)
                for shift in ("", SHIFTED)
            ),
        ),
    ),
    "default": Table(
        {
            SYMMETRIC_TITLE: Elsewhere(DEFAULT),
            "test crystals, 200": Elsewhere("test crystals"),
        },
        (
            one(CONTACT, "atoms closer than 0.7 of their covalent radii"),
            one(FINE_P1, "without symmetry (P1 at 0.01 Å)"),
            Row("energy drop in relaxation, mean; median, eV/atom", (DROP, MEDIAN_DROP)),
            Row(f"{MATCHES}; {VOLUME}", (MATCHES, VOLUME)),
            Row(
                "unique and novel; of all also below 0.1 eV/atom above the hull (M.S.U.N.)",
                (NEW, MSUN),
            ),
            Row(
                "match with 1,000 test structures given their composition, one try; RMSE",
                (MATCH, RMSE),
            ),
        ),
    ),
    "compact": Table(
        {
            "prior": Measured(("mp20-compact-0-prior",), beside="mp20-compact, prior"),
            "refined": Measured((COMPACT,), beside="mp20-compact, structures"),
        },
        (
            one(STRUCTURE, "valid structure (self-images counted)"),
            one(COMPOSITION, "valid composition (smact14; MP-20 train: 90.3 %)"),
            one("distinct reduced formulas"),
            one(CONTACT),
            one(P1),
            one(FINE_P1),
            Row("match with 8,879 test structures given their composition; RMSE", (MATCH, RMSE)),
        ),
    ),
    "symmetric": Table(
        {
            "S = 0": Mean(("mp20-symmetric-0",)),
            "1": Elsewhere("mp20-symmetric, S = 1"),
            "2": Mean(("mp20-symmetric-2",)),
            "3": Elsewhere("mp20-symmetric, S = 3"),
            "mean": Elsewhere(DEFAULT),
            "before": Elsewhere("mp20-symmetric, before"),
            "`mp20-compact`": Mean((COMPACT,)),
            "test crystals": Elsewhere("test crystals"),
        },
        (
            bare(f"{CONTACT}, %", CONTACT),
            bare(f"{UNUSUAL}, % (rejected by the same ruler, before the flow)", UNUSUAL),
            bare("P1, symprec 0.1; 0.01, %", P1, FINE_P1),
            bare("valid composition, %", COMPOSITION),
            bare("energy drop, mean, eV/atom", DROP),
            bare(MEDIAN_DROP, MEDIAN_DROP, digits=4),
            bare(f"{MATCHES}, %", MATCHES),
            bare(f"{VOLUME}, %", VOLUME),
            bare(f"{NEW}, %", NEW),
            bare("metastable (< 0.1 eV/atom); shifted, %", BELOW, BELOW + SHIFTED),
            bare("M.S.U.N. (< 0.1); shifted, %", MSUN, MSUN + SHIFTED),
            bare("M.S.U.N. (< 0.08); shifted, %", MSUN_008, MSUN_008 + SHIFTED),
            bare("binaries, %", "binaries"),
            bare(
                "wdist N_el; density (all valid)",
                "wdist N_el, all valid", "wdist density, all valid", digits=2,
            ),
        ),
    ),
    "card": Table(
        {
            SYMMETRIC_TITLE: Elsewhere(DEFAULT),
            "`mp20-compact`, 1,000; 300 relaxed": Mean((COMPACT,)),
            "test crystals, 200": Elsewhere("test crystals"),
        },
        (
            one(COMPOSITION, "valid composition (smact14; MP-20 train: 90.3 %)"),
            one(STRUCTURE),
            one(CONTACT),
            Row("P1 at symprec 0.1; 0.01", (P1, FINE_P1)),
            one(DROP, "energy drop, mean, eV/atom"),
            one(MATCHES),
            one(NEW),
            one(BELOW, "metastable (< 0.1 eV/atom above the hull)"),
            one(MSUN),
        ),
    ),
    "readme": Table(
        {
            SYMMETRIC_TITLE: Elsewhere(DEFAULT),
            "`mp20-compact`, 1,000 (300 relaxed)": Mean(
                (COMPACT,), beside="mp20-compact, structures"
            ),
            "test crystals, 200": Elsewhere("test crystals"),
        },
        (
            one(CONTACT, f"a {CONTACT}"),
            one(FINE_P1, "no symmetry (P1 at 0.01 Å)"),
            one(MATCHES),
            one(MSUN, "unique, novel and below 0.1 eV/atom above the hull (M.S.U.N.)"),
            one(MATCH, "match with known structures given their composition, one try"),
        ),
    ),
}  # fmt: skip


def figures_shown() -> set[str]:
    """The figures that some table shows."""
    return {
        figure.removeprefix(COUNT)
        for table in TABLES.values()
        for row in table.rows
        for figure in row.figures
    }

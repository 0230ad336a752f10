"""The chemical elements: symbols, masses and the order in which crystals are written.

Kept as plain data so that training needs no pymatgen; a test holds it against pymatgen's tables.
"""

from __future__ import annotations

SYMBOLS: tuple[str, ...] = (
    "X",  # atomic number 0: a type that a prior left open
    *(
        "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge "
        "As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm "
        "Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th "
        "Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og "
    ).split(),
)
"""Symbols by atomic number; index 0 stands for an open type."""

MP20_ELEMENTS: tuple[str, ...] = tuple(
    symbol for symbol in SYMBOLS[1:95] if symbol not in ("Po", "At", "Rn", "Fr", "Ra")
)
"""The 89 elements of MP-20, hydrogen to plutonium."""

NUMBER_OF: dict[str, int] = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}

ELECTRONEGATIVITY_ORDER: tuple[str, ...] = tuple(
    (
        "Fr Cs K Rb Ba Ra Na Sr Li Ca Ac La Tb Yb Ce Pm Pr Nd Sm Eu Gd Dy Y Ho Er Tm Lu Pu Am "
        "Bk Cf Cm Es Fm Hf Lr Md No Th Mg Zr Np Sc U Pa Ta Ti Mn Be Nb Al Tl V Zn Cr Cd In Ga "
        "Fe Co Cu Re Si Tc Ni Ag Sn Hg Po Ge Bi B Sb Te Mo As P At H Ir Os Pd Rn Ru Pt Rh Pb W "
        "Au C Se S Xe I Br Kr N Cl O F Ar Bh Cn Db Ds Fl He Hs Lv Mc Mt Ne Nh Og Rf Rg Sg Ts "
    ).split()
)
"""All elements by Pauling electronegativity, then symbol (the order of `Structure.sort`)."""

RANK_OF: dict[str, int] = {symbol: rank for rank, symbol in enumerate(ELECTRONEGATIVITY_ORDER)}

ATOMIC_MASSES: tuple[float, ...] = (
    0.0,
    *map(
        float,
        (
            "1.00794 4.0026 6.941 9.01218 10.811 12.0107 14.0067 15.9994 18.9984 20.1797 "
            "22.9898 24.305 26.9815 28.0855 30.9738 32.065 35.453 39.948 39.0983 40.078 "
            "44.9559 47.867 50.9415 51.9961 54.938 55.845 58.9332 58.6934 63.546 65.409 "
            "69.723 72.64 74.9216 78.96 79.904 83.798 85.4678 87.62 88.9059 91.224 92.9064 "
            "95.94 98 101.07 102.906 106.42 107.868 112.411 114.818 118.71 121.76 127.6 "
            "126.904 131.293 132.905 137.327 138.905 140.116 140.908 144.242 145 150.36 "
            "151.964 157.25 158.925 162.5 164.93 167.259 168.934 173.04 174.967 178.49 "
            "180.948 183.84 186.207 190.23 192.217 195.084 196.967 200.59 204.383 207.2 "
            "208.98 210 210 220 223 226 227 232.038 231.036 238.029 237 244 243 247 247 251 "
            "252 257 258 259 262 267 268 269 270 270 278 281 282 285 286 289 290 293 294 "
            "294 "
        ).split(),
    ),
)
"""Atomic masses in u by atomic number."""

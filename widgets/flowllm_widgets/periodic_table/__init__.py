"""PeriodicTable: choose elements, or see their frequencies in sets of crystals."""

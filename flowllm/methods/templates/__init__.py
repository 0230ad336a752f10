"""Templates: training crystals with exchanged elements, as a prior."""

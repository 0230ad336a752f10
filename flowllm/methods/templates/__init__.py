"""Templates: training crystals whose elements are exchanged, as a prior of its own."""

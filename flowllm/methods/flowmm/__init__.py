"""FlowMM: Riemannian flow matching from a simple base to crystals (arXiv 2406.04713)."""

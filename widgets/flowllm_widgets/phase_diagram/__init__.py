"""PhaseDiagramView: stable phases of a chemical system, and where crystals lie among them."""

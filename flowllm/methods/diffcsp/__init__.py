"""DiffCSP: diffusion of lattice, coordinates and species together, for prediction and generation.

Jiao et al. 2023, arXiv 2309.04475. Also the refiner of CrysLLMGen (Khastagir et al. 2025), which
lets a language model's crystals enter at a step on the way.
"""

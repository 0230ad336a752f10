"""How fast generation, relaxation and evaluation are."""

"""Functions over crystals on many processes, robust to ones that die or hang."""

"""Functions over crystals on many processes, of which one may die or hang."""

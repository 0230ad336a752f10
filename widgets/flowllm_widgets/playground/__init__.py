"""The prompt playground: conditions, sampling settings, and the generated crystals."""

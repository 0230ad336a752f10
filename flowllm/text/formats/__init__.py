"""Text formats in which a language model writes crystals."""

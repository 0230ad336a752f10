"""Formats in which a language model writes crystals; a new one is a module here and a line."""

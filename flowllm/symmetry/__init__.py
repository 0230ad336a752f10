"""Space groups, Wyckoff positions, and crystals in their conventional setting."""

"""Bring: a crystal of one's own, dropped or given, shown, scored, refined, relaxed, compared."""

"""Bring: your own crystal, dropped or given; shown, scored, refined, relaxed and compared."""

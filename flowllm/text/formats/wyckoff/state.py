class WyckoffState: pass

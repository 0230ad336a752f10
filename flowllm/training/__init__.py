"""Training of any network: a trainer that resumes exactly, its log, and its device.

A method brings a torch module whose `forward` returns a dict of losses, a data set with a collator,
and its settings. `trainer.CrystalTrainer` does the rest.
"""

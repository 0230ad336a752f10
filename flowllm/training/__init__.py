"""Training, whatever the network: a trainer that resumes exactly, its log, and where it runs.

A method brings a torch module whose `forward` returns a dict of losses, a data set with a collator,
and its settings. `trainer.CrystalTrainer` does the rest.
"""

"""Networks on crystals: CSPNet on padded batches, its PyG reference, and the inputs of both."""

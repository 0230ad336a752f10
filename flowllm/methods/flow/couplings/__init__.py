"""Couplings of prior samples and training crystals: sampled, aligned, stored."""

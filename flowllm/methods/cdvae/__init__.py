"""CDVAE (Xie et al., ICLR 2022): latent vectors, and Langevin dynamics conditioned on them."""

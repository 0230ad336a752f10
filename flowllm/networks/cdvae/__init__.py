"""The networks of CDVAE: an encoder of periodic graphs, heads of the latent vector, a decoder."""

"""CDVAE (Xie et al., ICLR 2022): latent vectors, and Langevin dynamics conditioned on them.

What differs from the paper and its code:

- Encoder and decoder are message passing with scalars and vectors over all images within 5 Å, of
  hidden size 64, instead of DimeNet++ and GemNet-T; the latent vector has the paper's 256 numbers.
- The encoder pools means and sums over atoms, and is also given the cell and the number of atoms
  that are to be decoded; the decoder is given the noise level of the coordinates.
- A number of atoms can be asked for: latent vectors are drawn until one decodes to it (`latents`).
- The way to the nearest image is taken in the cell in which the noisy crystal stands, the predicted
  one once teaching is over; no gradient goes through that cell, and the true one takes its place
  where the volumes differ by more than a factor of two.
- Elements that the training crystals lack are never drawn.
- Sampling computes in float64, and takes 10 steps at each level by default, not 100.
"""

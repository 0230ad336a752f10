"""The text of Gruver et al. (ICLR 2024): cell, then atoms one by one."""

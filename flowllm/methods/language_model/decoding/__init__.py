"""Texts written token by token: batches, caches, nucleus sampling, events."""

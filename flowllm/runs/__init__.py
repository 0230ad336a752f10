"""Runs on disk: folders that resume, whole files, identities and progress."""

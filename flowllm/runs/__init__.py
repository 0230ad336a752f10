"""Runs on disk: resumable folders, atomic files, identities and progress."""

"""Shared by all widgets: colours, messages, background work."""

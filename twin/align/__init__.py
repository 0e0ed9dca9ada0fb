"""Bringing real fingerprints onto the scale of their twin."""

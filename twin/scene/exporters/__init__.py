"""Exporters: built scenes in the formats of other programs, with what they were built from."""

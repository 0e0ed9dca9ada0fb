"""Declaring a place: file, checks, geometry, materials, receivers, picture."""

"""Readers of triangle meshes in the usual formats, bounded in time and memory."""

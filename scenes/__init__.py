"""The library of scenes: one folder a scene, with its source in a README."""

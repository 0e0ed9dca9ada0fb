"""Batches of fingerprints for training, from stores of any size."""

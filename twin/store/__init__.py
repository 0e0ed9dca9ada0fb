"""The store: fingerprints of many realisations in one Zarr hierarchy, whole or refused."""

"""Ray tracing of one realisation: from a scene and receiver points to paths and observables."""

"""MetaLoc's experiments: historical environments, paradigms and baselines, one file each."""

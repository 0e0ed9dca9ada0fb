"""Real data sets: registry, download, and importers that write stores."""

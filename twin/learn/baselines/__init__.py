"""What a learner must beat, on the same data and budget."""

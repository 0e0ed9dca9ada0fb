"""What a receiver would report of a traced channel."""

"""What is uncertain about a place, and seeded draws of it."""

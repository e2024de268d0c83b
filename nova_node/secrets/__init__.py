"""What capabilities need and nobody may read: stored, found by reference, kept out of all that is told."""

"""Nova's typed SDK."""

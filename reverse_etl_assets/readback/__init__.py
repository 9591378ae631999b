"""Records are read, and compared with what they were sent."""

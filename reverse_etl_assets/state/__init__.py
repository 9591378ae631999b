"""What a sync remembers of its rows, in a file of its own."""

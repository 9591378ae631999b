"""What a run or an undo would do, without doing it."""

"""Figures, never tests: each is a ratio to something measured in the same run, or a rate with its ceiling beside it."""

"""One run from start to end, and what else changes what a sync remembers. Read run.py first."""

"""Batches, their pace, retries, and one outcome for each row."""

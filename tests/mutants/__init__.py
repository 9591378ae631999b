"""`make mutants`: how many mistakes the tests would notice.

A mutant is a copy of the package with one mistake in it: a condition negated, a member of a list left out, a call not
made. The tests nearest to it (`nearest.py`) are run against the copy; if they stay green, the mutant has survived, and
either a test is missing or the change means the same. The checkout is never touched.

The runner is our own since half of what is decided here is decided in SQL: templates in `sql/`, and texts in Python.
mutmut and cosmic-ray know Python alone.
"""

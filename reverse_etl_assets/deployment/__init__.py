"""A project with its destinations: put together from a file, or by somebody's code."""

"""Personal data: what is not shown, and what leaves only as a hash."""

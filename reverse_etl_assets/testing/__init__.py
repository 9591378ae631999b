"""For authors of destinations and for tests: the contract every destination keeps, and builders of its vocabulary.

`contract` needs pytest; nothing else in the package does.
"""

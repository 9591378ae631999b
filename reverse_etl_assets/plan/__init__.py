"""The change set: one comparison of the model with what was acknowledged."""

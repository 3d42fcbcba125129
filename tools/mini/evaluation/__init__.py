"""Measuring chiasm-mini through a runtime, as a user would ask it."""

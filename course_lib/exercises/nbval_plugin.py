"""Restores an exercise's expected output before nbval compares it."""

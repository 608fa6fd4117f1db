"""Schedules of dilations: named families, and the best for a goal, with proof."""

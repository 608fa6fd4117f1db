"""Receptive fields: what every value descends from, axis by axis."""

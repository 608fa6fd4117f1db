"""Loops compiled by Numba; each module imports it, and is imported when it is first used."""

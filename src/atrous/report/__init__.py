"""Showing what was found: tables, pictures, files. Nothing here computes."""

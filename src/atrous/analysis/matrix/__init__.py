"""Matrices: a linear program as one sparse matrix, and its structure."""

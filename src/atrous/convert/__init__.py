"""Rewrite models so that other designs of them give the same values."""

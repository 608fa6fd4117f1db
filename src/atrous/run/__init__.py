"""Executing a program box by box."""

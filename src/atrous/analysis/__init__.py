"""Passes over a program: what each node sees and costs."""

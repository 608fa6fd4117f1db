"""Judging a model: findings with a cause, a place and a fix. One file per rule in `rules`."""

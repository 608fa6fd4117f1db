"""Effective fields: gradients of the real model, added up and described."""

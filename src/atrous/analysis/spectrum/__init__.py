"""Frequencies: responses of kernels and chains, and what strides fold."""

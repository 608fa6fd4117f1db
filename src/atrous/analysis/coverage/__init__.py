"""Coverage: routes from an output back to the input, their holes, and who leaves them."""

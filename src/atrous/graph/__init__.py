"""From a model to a program: capture, nodes, and one rule per operator family."""

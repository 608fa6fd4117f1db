"""Design of dilated networks: from a goal, or a network with flaws, to dilations."""

"""Networks with holes made hole-free: other dilations and paddings, the same weights and field."""

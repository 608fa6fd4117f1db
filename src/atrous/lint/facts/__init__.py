"""Facts that several rules judge by."""

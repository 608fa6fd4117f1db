"""Integer index mathematics: which inputs each output of one axis reads."""

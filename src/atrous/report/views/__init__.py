"""What every kind of picture shows, before one is drawn: counts in blocks, masks, lines."""

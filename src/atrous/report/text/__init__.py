"""Everything for a terminal: tables, sentences, numbers with units, pictures of characters."""

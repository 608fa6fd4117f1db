"""Everything as plain lists, strings and numbers, for JSON."""

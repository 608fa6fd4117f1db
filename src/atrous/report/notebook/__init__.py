"""How results look in notebooks: fragments of HTML with small pictures."""

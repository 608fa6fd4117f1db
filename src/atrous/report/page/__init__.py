"""One self-contained page: a file per section, the style and the script beside them."""

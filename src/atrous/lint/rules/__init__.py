"""One file per rule; its docstring is the rule's page."""

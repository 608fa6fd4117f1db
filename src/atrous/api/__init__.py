"""The public functions, one file per topic; no logic."""

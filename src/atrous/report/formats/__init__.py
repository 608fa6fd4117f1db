"""Findings and rules in the formats of others: SARIF, GitHub, Markdown."""

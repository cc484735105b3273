"""The linter for model YAMLs that people edit: read a file, find its errors, propose corrections; no torch."""

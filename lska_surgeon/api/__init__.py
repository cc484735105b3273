"""The public verbs, a module for each group of `lska-surgeon --help`; each gives a result."""

"""A model YAML as text: find, read, insert, remove, compare, write back byte for byte; no torch."""

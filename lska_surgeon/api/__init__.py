"""The public verbs, one module a command; each returns a result that shows itself and can be written."""

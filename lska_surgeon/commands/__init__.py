"""One module per command: parse, call, report; they work nothing out themselves."""

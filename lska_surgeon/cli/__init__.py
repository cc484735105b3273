"""The command line: a module a command, which parses, calls its verb, and shows or writes what that gave."""

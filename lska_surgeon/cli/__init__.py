"""The command line: a module of commands for each group of `--help`, each made from its verb."""

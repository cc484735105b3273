"""Declarations of the user's own blocks as files: found, read, guessed and written; it imports no class of theirs."""

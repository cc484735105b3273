"""What the installed Ultralytics and torch are, read from their source text; nothing of them is imported."""

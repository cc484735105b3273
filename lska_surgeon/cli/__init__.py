"""The command line: commands parse and call, reports turn results into text, JSON, Markdown and annotations."""

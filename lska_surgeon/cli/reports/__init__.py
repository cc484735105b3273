"""Results as text, JSON, Markdown and annotations for GitHub."""

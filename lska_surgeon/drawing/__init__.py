"""Networks and results as images: SVG, Mermaid, DOT, plots and heat maps."""

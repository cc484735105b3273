"""Networks and results as pictures: SVG, Mermaid, DOT, plots and heat maps."""

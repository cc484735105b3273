"""Networks and results as pictures: SVG, Mermaid, plots, heat maps."""

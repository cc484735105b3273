"""Networks and results as pictures: SVG, Mermaid, DOT, plots, heat maps, and the page that shows them."""

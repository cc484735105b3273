"""Networks as pictures: what stands in them, where it stands, and how it is written: SVG, Mermaid, DOT, PNG, PDF."""

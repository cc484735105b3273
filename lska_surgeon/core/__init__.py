"""The network as a value: layers, their shapes, and edits of them; no text, no torch."""

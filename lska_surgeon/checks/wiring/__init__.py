"""The wiring of a network as one inference: which story of edits explains every number at once; no text, no torch."""

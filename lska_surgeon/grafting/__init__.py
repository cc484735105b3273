"""Operators into trained weights, the proof that nothing else changed, and the training after it."""

"""Training all variants of a recipe, with seeds, anywhere; and an honest table of what came of it."""

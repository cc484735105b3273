"""Many variants, kept up to date: recipes, their plan, their index and their files."""

"""The report: one HTML file with all that is known of a recipe's variants, that opens from disk."""

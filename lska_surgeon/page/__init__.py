"""The report: one HTML file with tables, plots and drawings, that opens from disk and needs nothing else."""

"""The page of an experiment: one HTML file with tables, figures, configuration and cost, that needs nothing else."""

"""Tuning: settings of an experiment's methods, chosen on validation tasks, with the same budget for each."""

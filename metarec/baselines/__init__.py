"""Predictors in closed form, without gradients: the rows that every table of models must beat."""

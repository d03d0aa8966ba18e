"""Adaptation by a forward pass: a learned map from the support set to what is adapted."""

"""Experiments by periods: models that are frozen, fine-tuned and retrained as time goes on."""

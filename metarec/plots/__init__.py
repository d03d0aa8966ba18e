"""Figures of experiments: one module a kind, each a pure function of what runs left; needs matplotlib, no torch."""

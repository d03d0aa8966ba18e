"""Plain training: no inner loop while training."""

"""The commands beside those that train: a module each, whose `add` gives its options and imports nothing heavy."""

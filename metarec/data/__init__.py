"""From a ratings file to episodic batches: ratings, sources, splits, tasks, datamodule."""

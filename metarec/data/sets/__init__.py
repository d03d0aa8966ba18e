"""Data sets that are given by their path, a file each; sets of one family share one."""

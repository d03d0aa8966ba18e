"""Files that users bring themselves: read in pieces, checked, coded as numbers, kept in the cache."""

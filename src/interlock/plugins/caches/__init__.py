"""Places where answers are kept; the file's name is the cache's name."""

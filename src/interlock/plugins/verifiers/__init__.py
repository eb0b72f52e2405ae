"""Verifiers: each file judges answers in one way and is named in YAML by its file's name."""

"""Moderators, one file each, found by name."""

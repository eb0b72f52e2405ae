"""Durable engines of others that can carry our tasks, one file each; their libraries are none of ours and are imported when an engine is made."""

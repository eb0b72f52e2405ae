"""Leaves, one file each, named as in YAML. A wing: imports core, is imported by app."""

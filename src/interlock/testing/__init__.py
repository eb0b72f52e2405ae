"""Test doubles shipped for users of the package. Imports core and config only."""

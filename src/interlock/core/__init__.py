"""The vocabulary every room shares: frozen values, errors, events and ports. Standard library and msgspec only, no I/O."""

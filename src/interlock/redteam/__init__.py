"""Attacks on our own policy: benchmarks with a fully compromised model, and what comes of them."""

"""Tier 0: understanding on this machine, without a model call, and knowing when it does not understand.

A wing: imports only `interlock.core`, and is the only room that imports numpy, onnxruntime and tokenizers.
Only `interlock.app` imports it, and lazily, since the libraries are optional and heavy.
"""

"""Tier 0: understanding on this machine, without a model call, and knowing when it does not understand.

A wing: imports only `interlock.core`, and is the only room that imports numpy, onnxruntime and tokenizers.
Only `interlock.app` imports it, and lazily, since the libraries are optional and heavy.
"""

import os

# numpy's OpenBLAS reads this once, when numpy is first imported. Its waiting threads spin: on small matrices and busy cores
# they were measured to burn five times the CPU of the work itself.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

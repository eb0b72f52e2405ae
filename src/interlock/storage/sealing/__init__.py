"""Stores whose texts are sealed at rest: a wrapper for each seam, over whichever store is there, and the keys.

Above: `app` wraps what it opens where a workspace says `encryption:`. Below: the seams in core; `cryptography`.
"""

"""The composition root: where concrete classes meet. Above: server, cli, programs. Below: every room."""

from .compose import Interlock
from .reading import Reading, open_reading

__all__ = ["Interlock", "Reading", "open_reading"]

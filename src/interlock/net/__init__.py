"""HTTP/1.1 to vendors: an own pooled client on asyncio and httptools. Imported by `app` only; imports `core` only."""

from .client import PooledClient

__all__ = ["PooledClient"]

"""Half-closing a connection: our direction is shut down, theirs can still be read; under TLS too.

Above: connection. Below: asyncio.
"""

from __future__ import annotations

import asyncio
import socket


def hung_up(transport: asyncio.Transport) -> bool:
    """Ends our direction; False where only closing both says that nothing more is wanted."""
    if not transport.can_write_eof():
        return _below_tls(transport)
    transport.write_eof()
    return True


def _below_tls(transport: asyncio.Transport) -> bool:
    """Of the TCP connection that TLS runs over, for which no transport has a call.

    No alert of TLS goes before it: event loops stop handing out what comes once they have sent one.
    """
    plain: socket.socket | None = transport.get_extra_info("socket")
    if plain is None or transport.get_write_buffer_size():
        return False
    try:
        with socket.fromfd(plain.fileno(), plain.family, plain.type) as twin:
            twin.shutdown(socket.SHUT_WR)
    except OSError:
        return False
    return True

"""A certificate authority of the proxy's own: what a sandbox trusts, so that its HTTPS can be looked into.

Above: proxy. Below: cryptography, an extra. The authority's key never touches a disk; certificates are made per host, once. Each sandbox is given the
authority of the day it begins on (`Authorities`), since certificates expire sooner than a server stops.
"""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=2)
"""Of every certificate, the authority's own among them."""
RENEWED = dt.timedelta(days=1)
"""How long one authority is handed to new sandboxes."""
KEPT = 256


class Authority:
    """Makes server certificates that only its own clients trust."""

    def __init__(self, now: dt.datetime) -> None:
        """`now`: an aware instant; certificates are valid from an hour before it, against clocks that differ."""
        self._since = now - dt.timedelta(hours=1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Interlock egress")])
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        """What clients have to trust."""
        self._contexts: dict[str, ssl.SSLContext] = {}

    def context(self, host: str) -> ssl.SSLContext:
        """A server's side of TLS for `host`."""
        known = self._contexts.get(host)
        if known is None:
            if len(self._contexts) >= KEPT:
                self._contexts.clear()
            known = self._contexts[host] = self._made(host)
        return known

    def _made(self, host: str) -> ssl.SSLContext:
        certificate = (
            self._builder(x509.Name([]), self._leaf_key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        key = self._leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory(prefix="interlock-ca-") as folder:  # the ssl module reads keys from files only
            file = Path(folder) / "leaf.pem"
            file.touch(mode=0o600)
            file.write_bytes(key + certificate.public_bytes(serialization.Encoding.PEM))
            context.load_cert_chain(file)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._since)
            .not_valid_after(self._since + LIFETIME)
        )


class Authorities:
    """The authority of the moment: another one each day."""

    def __init__(self, now: Callable[[], dt.datetime]) -> None:
        """`now`: aware instants."""
        self._now = now
        self._made_at = now()
        self._current = Authority(self._made_at)

    def __call__(self) -> Authority:
        """One whose certificates hold for another day at least."""
        now = self._now()
        if not dt.timedelta() <= now - self._made_at < RENEWED:  # also where the clock was set back
            self._made_at, self._current = now, Authority(now)
        return self._current

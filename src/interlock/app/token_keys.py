"""The keys behind tokens of personal data: derived from one key of the workspace, or of each tenant's own, to be rotated and destroyed alone.

Above: guarding. Below: governance.tokens, a keyring (`core.sealing.Keys`). Both keep what they have worked out, up to a bound.
"""

from __future__ import annotations

from collections import OrderedDict

from interlock.core.sealing import Keys
from interlock.governance.tokens import TenantKey

TENANTS = 1024


class Derived:
    """Every tenant's key out of one key of the workspace: nothing to store, and nothing of one tenant's that could be destroyed."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._known: OrderedDict[str, TenantKey] = OrderedDict()

    def of(self, tenant: str) -> TenantKey:
        key = self._known.get(tenant)
        if key is None:
            key = self._known[tenant] = TenantKey(self._master, tenant)
            if len(self._known) > TENANTS:
                self._known.popitem(last=False)
        return key


class TokenKeys:
    """A tenant's own keys: the newest one makes tokens, those of before turn theirs back."""

    def __init__(self, keys: Keys, before: Derived | None) -> None:
        """`before`: of tokens that were made before there was a keyring; not used for a tenant whose keys were once destroyed."""
        self._keys, self._before = keys, before
        self._state: object = None
        self._known: OrderedDict[str, TenantKey] = OrderedDict()

    def of(self, tenant: str) -> TenantKey:
        """Raises KeyMissing, StoreUnavailable."""
        state = self._keys.state
        if state != self._state:  # rotated, destroyed, or another tenant's made, by whichever process
            self._known.clear()
            self._state = state
        key = self._known.get(tenant)
        if key is None:
            key = self._known[tenant] = self._made(tenant)
            if len(self._known) > TENANTS:
                self._known.popitem(last=False)
        return key

    def _made(self, tenant: str) -> TenantKey:
        self._keys.current(tenant, "tokens")
        newest, *rest = self._keys.versions(tenant, "tokens")
        older = [TenantKey(each.secret, tenant) for each in rest]
        if self._before is not None and not self._keys.destroyed(tenant, "tokens"):
            older.append(self._before.of(tenant))
        return TenantKey(newest.secret, tenant, older)

"""Who may call what: keys, roles and a table of rules. What no rule allows is refused."""

import hashlib
import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from data.roles import ROLES
from data.store.keys import Key
from serving.web.problems import Problem
from serving.web.quotas import FailedTries, Quota

REMEMBERED_S = 2.0  # a revoked key opens nothing after this long
MOST_REMEMBERED = 4_096
FORWARDED = {b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"}


@dataclass(frozen=True)
class Rule:
    """Who may call one route: keys of these roles; or anyone, this machine alone, or who signs the message."""

    roles: frozenset[str] = frozenset()
    without_key: Literal["nobody", "anyone", "this machine", "who signs"] = "nobody"


def keys_of(*roles: str) -> Rule:
    """A rule for keys of these roles."""
    return Rule(frozenset(roles))


ANYONE = Rule(without_key="anyone")
WHO_SIGNS = Rule(without_key="who signs")
EVERY_ROLE = keys_of(*ROLES)
Rules = Mapping[tuple[str, str], Rule]  # (method, path as it is declared at the route)


@dataclass(frozen=True)
class Caller:
    """Who asks. Leads belong to the client, which outlives its keys."""

    client_id: str
    role: str
    key_id: str
    rep_id: str | None

    @property
    def actor(self) -> str:
        """How the ledger names who did it."""
        return f"{self.role}:{self.key_id}"

    @property
    def sees_only_client(self) -> str | None:
        """The client whose leads alone may be seen; None: all."""
        return self.client_id if self.role == "crm" else None


class Gate:
    """ASGI middleware that lets through what the rules allow, with `caller` and `route` in the request's state."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        rules: Rules,
        find_key: Callable[[str], Awaitable[Key | None]],
        quota: Quota,
        failed: FailedTries,
    ) -> None:
        self._app = app
        self._paths = [(compile_path(path)[0], method, path, rule) for (method, path), rule in rules.items()]
        # Most addresses have no parameter: what is declared for them need not be looked for at each request.
        self._known = {path: self._declared(path) for _, path in rules if "{" not in path}
        self._find_key = find_key
        self._quota = quota
        self._failed = failed
        self._remembered: dict[bytes, tuple[float, Key]] = {}  # by digest; those that opened something before

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or raise the Problem that answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = self._known.get(scope["path"]) or self._declared(scope["path"])
        mine = next(((path, rule) for path, method, rule in found if method == scope["method"]), None)
        state = scope.setdefault("state", {})
        state["route"] = mine[0] if mine else "unknown"
        if mine is None or not _open(mine[1], scope):
            # A page calls with who is signed in; what comes from outside has no state yet.
            state["caller"] = caller = state.get("caller") or await self._caller(scope)
            self._quota.take(caller.key_id)
            if not found:
                raise Problem(404, "There is nothing at this address; see /openapi.json.")
            if mine is None:
                allowed = ", ".join(sorted({method for _, method, _ in found}))
                raise Problem(405, f"This address takes {allowed}.", headers={"Allow": allowed})
            if caller.role not in mine[1].roles:
                able = ", ".join(role for role in ROLES if role in mine[1].roles)
                raise Problem(403, f"A key of the role {caller.role} may not do this; one of {able} may.")
        await self._app(scope, receive, send)

    def _declared(self, address: str) -> list[tuple[str, str, Rule]]:
        """Path, method and rule of every route at an address."""
        return [(path, method, rule) for regex, method, path, rule in self._paths if regex.match(address)]

    async def _caller(self, scope: Scope) -> Caller:
        presented = _bearer(scope["headers"])
        key = await self._key(presented, _source(scope)) if presented else None
        if key is None:
            raise Problem(
                401, "Send a valid key: Authorization: Bearer KEY.", headers={"WWW-Authenticate": "Bearer"}
            )
        return Caller(key.client_id, key.role, key.id, key.rep_id)

    async def _key(self, presented: str, source: str) -> Key | None:
        name, now = hashlib.sha256(presented.encode()).digest(), time.monotonic()
        until, key = self._remembered.get(name, (0.0, None))
        if now < until:
            return key
        # A key that opened something before is looked up all the same: others behind its proxy must not lock it out.
        if key is None and (refusal := self._failed.refusal(source)):
            raise refusal
        found = await self._find_key(presented)
        if found is None:
            self._remembered.pop(name, None)
            self._failed.note(source)
            return None
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[name] = (now + REMEMBERED_S, found)
        return found


def _open(rule: Rule, scope: Scope) -> bool:
    """Whether the rule asks for no key here."""
    if rule.without_key == "this machine":
        # What a proxy passes on comes from this machine too, but not from anybody on it.
        return _loopback(scope) and not any(name in FORWARDED for name, _ in scope["headers"])
    return rule.without_key in ("anyone", "who signs")  # a signature is the route's own to check


def _loopback(scope: Scope) -> bool:
    try:
        return ipaddress.ip_address(_source(scope)).is_loopback
    except ValueError:
        return False


def _source(scope: Scope) -> str:
    """The address at the other end of the connection: a proxy's, where there is one."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _bearer(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, key = given[0].decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and 0 < len(key) <= 512 else None

"""The only way out: HTTP to addresses that others named, with what that needs against being led astray.

The host is resolved once and the connection goes to that very address (a name that answers differently the second
time gains nothing); no redirect is followed, no proxy asked; all of it within one time limit.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx

MOST_BYTES = 65_536  # of an answer; what is longer is not read
MOST_ADDRESSES = 3
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # IPv4 behind IPv6: the address inside counts


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: str | None

    @property
    def ok(self) -> bool:
        """Whether the request did what it should."""
        return 200 <= self.status < 300


class UnreachableError(Exception):
    """No answer: refused, timed out, broken off; the message is ours and holds nothing of theirs."""


def allowed_address(text: str, *, private_allowed: bool) -> bool:
    """Whether a connection to the address may be made.

    Link-local ones never (clouds hand out credentials there), nor multicast or unspecified ones.

    >>> [allowed_address(one, private_allowed=False) for one in ("93.184.215.14", "10.0.0.7", "::ffff:127.0.0.1")]
    [True, False, False]
    >>> [allowed_address(one, private_allowed=True) for one in ("127.0.0.1", "169.254.169.254")]
    [True, False]
    """
    address = _innermost(ipaddress.ip_address(text.partition("%")[0]))
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return private_allowed or address.is_global


def _innermost(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def checked_url(url: str, *, private_allowed: bool) -> str | None:
    """What is wrong with an address to send to; None: nothing that can be seen without asking for its host."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "is not an address"
    schemes = ("https", "http") if private_allowed else ("https",)
    if parsed.scheme not in schemes or not parsed.host:
        return f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if parsed.userinfo or parsed.fragment:
        return "must not hold a user, a password or a fragment"
    try:
        return None if allowed_address(parsed.host, private_allowed=private_allowed) else "lies in a private network"
    except ValueError:  # a name
        return None


class Outward:
    """A client for one event loop; use it as an asynchronous context manager."""

    def __init__(self, *, timeout_s: float) -> None:
        self.tokens: dict[str, str] = {}  # endpoint -> access token, for as long as this client lives
        self._timeout_s = timeout_s
        self._tls = httpx.create_ssl_context(trust_env=False)
        self._clients: dict[bytes, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.aclose()

    def _client(self, url: httpx.URL) -> httpx.AsyncClient:
        """The client of one host: by address alone, a connection checked for one name would serve another."""
        if url.netloc not in self._clients:
            self._clients[url.netloc] = httpx.AsyncClient(
                verify=self._tls,
                follow_redirects=False,
                trust_env=False,
                timeout=self._timeout_s,
                limits=httpx.Limits(max_connections=8, max_keepalive_connections=2, keepalive_expiry=20),
                headers={"User-Agent": "leadmatch"},
            )
        return self._clients[url.netloc]

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        private_allowed: bool = False,
    ) -> Answer:
        """The answer, whatever its status. Raises UnreachableError where there is none within the time limit."""
        if problem := checked_url(url, private_allowed=private_allowed):
            raise UnreachableError(f"the address {problem}")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._sent(method, httpx.URL(url), content, dict(headers or {}), private_allowed)
        except TimeoutError:
            raise UnreachableError("no answer in time") from None
        except httpx.HTTPError as error:
            raise UnreachableError(f"no answer ({type(error).__name__})") from None

    async def _sent(
        self, method: str, url: httpx.URL, content: bytes | None, headers: dict[str, str], private_allowed: bool
    ) -> Answer:
        addresses, client = await _resolved(url, private_allowed=private_allowed), self._client(url)
        for last, address in zip([*[False] * (len(addresses) - 1), True], addresses, strict=True):
            request = client.build_request(
                method,
                url.copy_with(host=address),
                content=content,
                headers={**headers, "Host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": url.host},  # the certificate must be the named host's
            )
            try:
                return await _read(client, request)
            except httpx.ConnectError:
                if last:
                    raise
        raise UnreachableError("the host has no address")


async def _read(client: httpx.AsyncClient, request: httpx.Request) -> Answer:
    response = await client.send(request, stream=True)
    body = bytearray()
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > MOST_BYTES:
                break
    finally:
        await response.aclose()
    return Answer(response.status_code, bytes(body[:MOST_BYTES]), response.headers.get("retry-after"))


async def _resolved(url: httpx.URL, *, private_allowed: bool) -> list[str]:
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise UnreachableError("the host's name cannot be resolved") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    allowed = [one for one in addresses if allowed_address(one, private_allowed=private_allowed)]
    if not allowed:
        raise UnreachableError("the host lies in a private network, which is not allowed for this endpoint")
    return allowed[:MOST_ADDRESSES]


def seconds_of(retry_after: str | None, now: datetime) -> float:
    """How long a Retry-After header asks to wait: seconds or a date; 0 where it says nothing that can be read."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0

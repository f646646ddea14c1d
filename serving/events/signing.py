"""Signatures of webhooks: Standard Webhooks, ours and others', and HubSpot's v3. All are compared in constant time."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from data.errors import InputError

PREFIX = "whsec_"
TOLERANCE_S = 300  # an older or later one may be a recording that somebody plays back
# What HubSpot decodes in the address before it signs; everything else stays as it was sent.
_DECODED = {"%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(",
            "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";"}  # fmt: skip
_ESCAPE = re.compile("|".join(_DECODED), re.IGNORECASE)


def key_of(secret: str) -> bytes:
    """The key that a secret `whsec_...` stands for. Raises InputError for anything else."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 16 <= len(key) <= 64:
        raise InputError(f"A webhook's secret is {PREFIX} and 24 to 64 bytes in base64.")
    return key


def new_secret(random: bytes) -> str:
    """A secret made of random bytes."""
    return PREFIX + base64.b64encode(random).decode()


def standard_signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,BASE64` over the id, the time in seconds and the body.

    Source: Standard Webhooks, "Signature scheme".
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode()


def standard_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a signed message."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": standard_signature(secret, message_id, timestamp, body),
    }


def standard_is_genuine(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now_s: float
) -> bool:
    """Whether one of `secrets` signed this, not longer than TOLERANCE_S ago."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or len(message_id) > 256 or not _fresh(timestamp, now_s, unit_s=1.0):
        return False
    given = [one for one in headers.get("webhook-signature", "").split(" ")[:8] if one.startswith("v1,")]
    expected = [standard_signature(secret, message_id, int(timestamp), body) for secret in secrets]
    return _any_equal(given, expected)


def hubspot_signature(secret: str, method: str, uri: str, body: bytes, timestamp: str) -> str:
    """BASE64 over method, address, body and the time in milliseconds.

    Source: HubSpot, "Validate the v3 request signature".
    """
    address = _ESCAPE.sub(lambda found: _DECODED[found.group().upper()], uri)
    signed = (method + address).encode() + body + timestamp.encode()
    return base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()


def hubspot_is_genuine(
    headers: Mapping[str, str], method: str, uri: str, body: bytes, secrets: Sequence[str], *, now_s: float
) -> bool:
    """Whether one of `secrets` signed this, not longer than TOLERANCE_S ago."""
    timestamp = headers.get("x-hubspot-request-timestamp", "")
    if not _fresh(timestamp, now_s, unit_s=0.001):
        return False
    given = [headers.get("x-hubspot-signature-v3", "")]
    return _any_equal(given, [hubspot_signature(secret, method, uri, body, timestamp) for secret in secrets])


def _fresh(timestamp: str, now_s: float, *, unit_s: float) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        return False
    return abs(now_s - int(timestamp) * unit_s) <= TOLERANCE_S


def _any_equal(given: Sequence[str], expected: Sequence[str]) -> bool:
    """Every pair is compared, so that time tells nothing of which one failed."""
    equal = [hmac.compare_digest(one.encode(), other.encode()) for one in given for other in expected]
    return any(equal)

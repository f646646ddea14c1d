"""Whether two leads are one customer: contact data in one form, and keys that tell nothing of the person."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from cleanco import basename
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from data.names import plain

KINDS = ("customer_id", "phone", "email", "company")
# How columns of each kind are spelled, in the form in which names are compared.
_COLUMNS = {
    "customer_id": ("customer_id",),
    "phone": (
        "phone", "phone number", "mobile", "mobile phone", "mobile number", "telephone", "work phone", "home phone",
        "whatsapp", "手机", "手机号", "手机号码", "电话", "联系电话",
    ),
    "email": ("email", "e-mail", "email address", "mail", "work email", "邮箱", "电子邮箱"),
    "company": (
        "company", "company name", "organization", "organisation", "organization name", "account name",
        "公司", "公司名称", "企业名称",
    ),
}  # fmt: skip
_KIND_OF = {plain(name): kind for kind, names in _COLUMNS.items() for name in names}
_CHINESE_MOBILE = re.compile(r"(?:0086|86)?(1[3-9]\d{9})")
# Legal forms that cleanco does not know; the longest first.
_CHINESE_FORM = re.compile(r"(?:股份有限公司|有限责任公司|有限公司|集团公司|集团|公司)+$")
_FEWEST_DIGITS = 7
# Signs that stand between the digits of a number and say nothing: without them it is read in half the time.
_USUAL_SIGNS = re.compile(r"\+?[\d ().\-]{1,100}", re.ASCII)
# American numbers and Chinese mobiles in full stand for themselves: no part of them can be a prefix to leave out.
_PLAIN_NUMBER = re.compile(r"\+(?:1[2-9]\d{9}|861(?!79)[3-9]\d{9})", re.ASCII)
_SHORT = 100  # characters: no part of such an address is too long for the whole of it
_PLAIN_MAILBOX = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")  # stands for itself
# So does a domain of short ASCII labels without a double hyphen, under a top level that is not reserved.
_PLAIN_DOMAIN = re.compile(r"(?:(?![^.]{64})[a-z0-9]+(?:-[a-z0-9]+)*\.)+([a-z]{2,63})")
_RESERVED = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)


def customer_keys(
    client_id: str, lead: Mapping[str, Any], kinds: Sequence[str], *, country: str | None = None
) -> dict[str, str]:
    """Keys by which a lead's customer is found again: key -> its kind. Two leads with one key are one customer.

    A key is a SHA-256 of the client, the kind and the value in its normal form: no plain personal data, yet not
    secret from somebody who can guess the value, so keys are erased with the person.
    country : two letters; where telephone numbers without a country's code belong.
    """
    keys: dict[str, str] = {}
    for column, value in lead.items():
        kind = _kind_of(column)
        if kind not in kinds or kind is None:
            continue
        for each in value if isinstance(value, list | tuple) else (value,):
            normal = normal_form(kind, each, country=country)
            if normal:
                told = "\x1f".join((client_id, kind, normal))
                keys[hashlib.sha256(told.encode("utf-8")).hexdigest()] = kind
    return keys


def prepare() -> None:
    """Load what only telephone numbers need, so that nobody's first lead waits for it."""
    normal_form("phone", "+49 30 901820")


@lru_cache(maxsize=4096)
def _kind_of(column: str) -> str | None:
    return _KIND_OF.get(plain(column))


def normal_form(kind: str, value: Any, *, country: str | None = None) -> str | None:
    """One form for one telephone number, address, company or id; None where the value is none.

    >>> normal_form("phone", "+86 138-0013-8000"), normal_form("phone", "13800138000")
    ('+8613800138000', '+8613800138000')
    >>> normal_form("phone", "(0)30 901820", country="DE"), normal_form("email", " Li@Example.COM ")
    ('+4930901820', 'li@example.com')
    >>> normal_form("company", "ACME Widgets, Inc."), normal_form("company", "Acme Widgets GmbH & Co. KG")
    ('acme widgets', 'acme widgets')
    >>> normal_form("company", "上海明珠科技有限公司"), normal_form("phone", "n/a")
    ('上海明珠科技', None)
    """
    if value is None or isinstance(value, bool):
        return None
    text = (f"{value:.0f}" if isinstance(value, float) else str(value)).strip()
    if not text:
        return None
    match kind:
        case "phone":
            return _phone(text, country)
        case "email":
            return _email(text)
        case "company":
            return _company(text)
    return text


def _phone(text: str, country: str | None) -> str | None:
    digits = re.sub(r"\D", "", text)
    if len(digits) < _FEWEST_DIGITS:
        return None
    chinese = _CHINESE_MOBILE.fullmatch(digits)
    if chinese and not text.lstrip().startswith("+") and country in (None, "CN"):
        return f"+86{chinese[1]}"
    if _USUAL_SIGNS.fullmatch(text):
        text = f"+{digits}" if text.startswith("+") else digits
        if _PLAIN_NUMBER.fullmatch(text):
            return text
    import phonenumbers  # here: a service starts sooner without all the world's numbering plans

    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return digits  # of an unknown country: the same digits are still the same number
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _email(text: str) -> str | None:
    mailbox, _, domain = text.rpartition("@")
    if len(text) <= _SHORT and domain.isascii() and _PLAIN_MAILBOX.fullmatch(mailbox):
        known = _domain(domain)  # many leads write from few domains, and the domain is what takes long to check
        return None if known is None else f"{mailbox.casefold()}@{known}"
    return _address(text)


@lru_cache(maxsize=4096)
def _domain(domain: str) -> str | None:
    folded = domain.casefold()
    as_it_is = _PLAIN_DOMAIN.fullmatch(folded)
    if as_it_is and as_it_is[1] not in _RESERVED:
        return folded
    found = _address(f"a@{domain}")
    return None if found is None else found.removeprefix("a@")


def _address(text: str) -> str | None:
    try:
        # As it is spelled in any case: mailboxes that differ in it alone are one in practice.
        return validate_email(text, check_deliverability=False).normalized.casefold()
    except EmailNotValidError:
        return None


def _company(text: str) -> str | None:
    bare = _CHINESE_FORM.sub("", text.strip()) or text
    # Twice: "GmbH & Co. KG" is one legal form within another.
    words = re.sub(r"[^\w]+", " ", basename(basename(bare)).casefold()).strip()
    return words or None

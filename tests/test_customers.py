"""One customer, however she is written down; and nothing plain in the keys by which she is found."""

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from data.customers import KINDS, customer_keys, normal_form


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("phone", "+86 138 0013 8000", "13800138000"),
        ("phone", "0086-13800138000", "+8613800138000"),
        ("phone", "+49 (30) 901820", "+4930901820"),
        ("email", "Li.Na@Example.COM", " li.na@example.com "),
        ("company", "Acme Widgets, Inc.", "ACME WIDGETS"),
        ("company", "Müller & Söhne GmbH", "müller & söhne"),
        ("company", "上海明珠科技有限公司", "上海明珠科技股份有限公司"),
        ("customer_id", "K-7", " K-7"),
        ("customer_id", 7.0, "7"),
    ],
)
def test_one_customer_however_written(kind, one, other):
    assert normal_form(kind, one) == normal_form(kind, other) is not None


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("phone", "13800138000", "13800138001"),
        ("email", "li@example.com", "li@example.org"),
        ("company", "Acme Widgets", "Acme Gadgets"),
    ],
)
def test_two_customers_stay_two(kind, one, other):
    assert normal_form(kind, one) != normal_form(kind, other)


@pytest.mark.parametrize(
    ("kind", "value"), [("phone", "n/a"), ("phone", "123"), ("email", "none"), ("email", "a@b@c"), ("phone", None)]
)
def test_what_is_no_contact_finds_nobody(kind, value):
    assert normal_form(kind, value) is None


def test_a_national_number_needs_its_country():
    assert normal_form("phone", "030 901820", country="DE") == normal_form("phone", "+49 30 901820")
    assert normal_form("phone", "030 901820") == "030901820"  # the same digits are still the same number


def test_keys_are_told_apart_by_client_and_kind_and_hold_nothing_plain():
    lead = {"Mobile Phone": "+86 138 0013 8000", "邮箱": "li@example.com", "company": "Acme Inc", "industry": "steel"}
    keys = customer_keys("crm", lead, KINDS)
    assert sorted(keys.values()) == ["company", "email", "phone"]
    assert keys.keys().isdisjoint(customer_keys("other", lead, KINDS))
    assert list(customer_keys("crm", lead, ("phone",)).values()) == ["phone"]
    assert customer_keys("crm", {"phone": "13800138000"}, ("phone",)).keys() <= keys.keys()
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)


@pytest.mark.parametrize(
    "typed",
    [
        "li@example.com", "Li.Wang+x@Exämple.COM", "Li.Wang+x@EXAMPLE.com", "a@localhost", "a@b.test", "a@b..c",
        "a@ b.com", "a @b.com", "a@[1.2.3.4]", "a@b@c.com", "a.@x.com", ".a@x.com", "a@x.com.", "@x.com", "a@",
        "x" * 64 + "@example.com", "x" * 65 + "@example.com",
        "longer@" + ".".join([letter * 61 for letter in "defg"]) + ".com",
    ],
)  # fmt: skip
def test_an_address_whose_domain_is_known_reads_as_the_whole_address_does(typed):
    assert normal_form("email", typed) == normal_form("email", typed) == as_the_library_reads(typed)


def as_the_library_reads(typed):
    try:
        return validate_email(typed, check_deliverability=False).normalized.casefold()
    except EmailNotValidError:
        return None


LABELS = st.one_of(
    st.text("aZ09-", min_size=1, max_size=5),
    st.sampled_from(["com", "test", "Local", "arpa", "xn--ls8h", "ab--c", "9", "a_b", "x" * 63, "x" * 64, "c\u212a"]),
)


@given(st.lists(LABELS, min_size=1, max_size=4).map(".".join))
@example("kunde-1.example.com")
def test_a_plain_domain_reads_as_the_library_reads_it(domain):
    assert normal_form("email", f"li@{domain}") == as_the_library_reads(f"li@{domain}".strip())


# Countries with long and short codes, trunk prefixes that stay, go or are "1" and "8", and leading zeros that belong.
@given(
    st.from_regex(r"(\+|00)?(1|7|39|44|49|86|378|800|999)?[0-9 ().\-]{5,18}", fullmatch=True)
    | st.from_regex(r"\+(1 ?[0-9]{3}-[0-9]{7}|86 ?1[0-9]{10})", fullmatch=True),
    st.sampled_from([None, "US", "IT", "DE", "GB", "RU", "BR", "SM"]),
)
@example("+44 (0)20 7946-0958", None)
@example("+39 06 698 1234.", "IT")
@example("(030) 90-18.20", "DE")
@example("+ 1 (200) 555-0101", None)
def test_a_number_without_its_signs_is_the_number_that_the_library_reads_with_them(text, country):
    digits = "".join(each for each in text if each.isdigit())
    chinese = country is None and not text.startswith("+") and normal_form("phone", digits) == f"+86{digits[-11:]}"
    if len(digits) < 7 or chinese:
        return
    try:
        number = phonenumbers.parse(text.strip(), country)
        expected = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        expected = digits
    assert normal_form("phone", text, country=country) == expected

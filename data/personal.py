"""Personal data: which columns hold them. They are never features, and never stand in a message."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from data.names import PERSONAL_COLUMNS, plain

if TYPE_CHECKING:
    import pandas as pd  # half a second, and the service needs only the names

PERSONAL = frozenset(PERSONAL_COLUMNS)

# Compared in plain form: case, spaces, underscores and hyphens aside.
_OTHER_SPELLINGS = frozenset(
    plain(name)
    for name in (
        *PERSONAL_COLUMNS,
        "first name", "last name", "full name", "middle name", "surname", "given name", "family name",
        "lead name", "contact name", "contact person", "customer name", "account name", "company name",
        "organization", "organisation", "organization name", "email address", "e-mail", "mail",
        "secondary email", "work email", "phone number", "mobile", "mobile phone", "mobile number",
        "telephone", "home phone", "work phone", "fax", "wechat", "whatsapp", "street", "address",
        "street address", "website", "postal address", "linkedin", "姓名", "客户名称", "客户姓名", "公司", "公司名称",
        "企业名称", "联系人", "联系人姓名", "手机", "手机号", "手机号码",
        "电话", "联系电话", "邮箱", "电子邮箱", "微信", "微信号", "地址",
        "详细地址", "线索名称",
    )
)  # fmt: skip
_PART_THAT_TELLS = re.compile(r"e_?mail|phone|手机|电话|邮箱|微信|身份证")
# "Do Not Email", "email_opened", "phone_verified": about contact, yet nobody's address.
_NOT_AN_ADDRESS = re.compile(
    r"^(do_?not|no|has|is|num|number_of|count|last|days|allow|agree)_|(opt|open|click|sent|verified|valid|count|bounce"
    r"|domain|status|consent|date|time|calls?$)"
)
_CONTACT = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|\+\d[\d ()-]{7,17}|1[3-9]\d{9}")
_LOOKED_AT = 200


@lru_cache(maxsize=4096)
def is_personal(column: str) -> bool:
    """Whether a column of this name holds a person's name, address, number or company.

    >>> [is_personal(name) for name in ("E-Mail", "Mobile Phone", "mobile", "Do Not Email", "company_size")]
    [True, True, True, False, False]
    """
    if plain(column) in _OTHER_SPELLINGS:
        return True
    words = re.sub(r"[\s\-]+", "_", column.strip().casefold())
    return bool(_PART_THAT_TELLS.search(words)) and not _NOT_AN_ADDRESS.search(words)


def looks_personal(values: "pd.Series") -> bool:
    """Whether most values are e-mail addresses or telephone numbers, whatever the column is called."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values.dtype):
        return False
    seen = values.dropna().head(_LOOKED_AT)
    return len(seen) > 0 and sum(bool(_CONTACT.fullmatch(value)) for value in seen) > len(seen) / 2

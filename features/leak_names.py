"""Column names that tell of the sales work itself, and so of what happens after the assignment.

Grown from the field names of Salesforce, HubSpot, Zoho, Pipedrive, Odoo, Dynamics, Frappe, EspoCRM and SuiteCRM,
and of Chinese CRMs. A name is compared as its words in small letters with `_` between.
"""

import re
import unicodedata

_WORKED = "follow_?ups?|calls?|meetings?|notes?|activit(?:y|ies)|tasks?|touch(?:es)?|interactions?|conversations?"
_ENDED = "won|win|lost|close|closed|closing|convert|converted|conversion|disqualified|disqualification"
_WHEN = "at|on|by|date|time|date_time|day|month|quarter|year"

_PATTERNS: tuple[tuple[str, str], ...] = (
    (
        "when or how the lead was last worked",
        rf"(^|_)(last|latest|next|recent)_([a-z]+_)?({_WORKED}|contact|contacted|modified|update|updated|viewed|referenced)(_|$)"
        r"|(^|_)(last|latest)_(stage|status)(_|$)|(^|_)stage_change_|^hs_(v2_)?date_(entered|exited)_|^hs_sales_email_"
        rf"|(^|_)(modified|updated|modstamp)(_({_WHEN}|user|user_id|by_id))?$|(^|_)(update|write)_({_WHEN}|uid|user)$"
        r"|^date_(modified|open|closed|conversion|last_stage_update|deadline)$|^was_seen$|^is_archived$|^is_unread_by_owner$"
        r"|^(last)?modified(date|time|on|at|by)$",
    ),
    (
        "how far the lead has got, which changes while it is worked",
        r"^(?:(?:lead|deal|opportunity|sales|pipeline|contact|hs|won|sla|communication|current)_)*"
        r"(status|stage|statecode|statuscode|status_code)(_(code|name|id|reason|category|description|change_log|sort_order))?$"
        r"|^(lead|deal|sales|pipeline)(stage|status)$|^(hs_)?lifecycle_?stage(_|$)|^days_(in_stage|open)$|^day_(open|close)$",
    ),
    (
        "how or when the lead ended",
        rf"(^|_)({_ENDED})_+({_WHEN}|reason|reason_id|status|amount|value|revenue|account|account_id|contact|contact_id|deal"
        r"|deal_id|opportunity|opportunity_id|s)(_|$)"
        r"|(^|_)(is|has|was)_(won|lost|closed|converted|qualified|disqualified)(_|$)|^(won|lost|converted|conversion)$"
        r"|(^|_)(lost|loss|rejection|disqualification|cancellation)_reasons?(_|$)|^(num_associated|recent|first)_deals?(_|$)"
        r"|^actual_(revenue|value|close)|^created_(account|contact|opportunity)_id$|^qualifying_?opportunity"
        r"|^(close|closed|won|lost|converted)(date|time|on|at)$",
    ),
    (
        "a person's or the CRM's judgement of the lead, usually written once it has been spoken to",
        r"(^|_)lead_?(quality|profile|rating|grade|temperature|score)$"
        r"|(^|_)(activity|profile|engagement|behaviou?r|behaviou?ral|predictive|touch_?point|positive|negative|hubspot|zia)"
        r"_?(score|index)(_|$)|^hs_predictive"
        r"|^((win|automated|is_automated|closing)_)?probability$|^forecast(_category)?(_name)?$|^(expected|prorated)_revenue$",
    ),
    (
        "how the lead was worked: calls, notes, meetings, how long and how often",
        r"^duration(_(s|sec|secs|seconds|min|minutes))?$"
        r"|(^|_)(call|talk|conversation|meeting)s?_(duration|time|length|minutes|seconds|result|outcome|disposition|status)$"
        rf"|(^|_)(no|num|number|count|total)_(of_)?([a-z]+_)?({_WORKED}|times_contacted|emails_sent)$"
        rf"|(^|_)({_WORKED}|call_attempt|email_message|emails_sent|times_contacted)_(count|attempts|made|logged|status|state|"
        rf"result|{_WHEN})$"
        r"|^notes_last_|^disposition$|^has_(open_activity|overdue_task)$",
    ),
    (
        "how fast the lead was answered",
        r"(^|_)first_(contact|contacted|response|responded|reply|call|touch)(_|$)"
        r"|^(response|reaction|reply|answer)_(time|delay|seconds|minutes|hours)(_|$)"
        r"|(^|_)(time|days|hours|minutes)_to_(first_)?([a-z]+_)?(contact|call|response|engagement|touch|close|convert)$",
    ),
    (
        "what is written while the lead is worked or once it has ended",
        r"跟进|(最近|最后|下次|上次|首次)(联系|沟通|拜访|活动|响应|修改|更新)|通话|拜访(时间|次数|记录|结果)|(修改|更新|领取|回收|转化|转换)(时间|日期|人)"
        r"|成交|赢单|输单|丢单|流失|战败|签约|签单|回款|合同金额|(无效|关闭|退回|放弃|失败)原因|(是否|已)(转化|转换|转商机)"
        r"|(线索|客户|商机|销售|沟通|转化)(状态|阶段)|^(状态|阶段)$|意向(度|程度|等级|级别|强度|评分)|意向$|线索(质量|等级|评级|评分)|响应时(长|间)|退回公海",
    ),
)
_COMPILED = tuple((meaning, re.compile(pattern)) for meaning, pattern in _PATTERNS)


def words_of(name: str) -> str:
    """A column's name as words in small letters with `_` between.

    >>> [words_of(name) for name in ("LastActivityDate", "Deal - Won time", "Converted__s", "跟进状态")]
    ['last_activity_date', 'deal_won_time', 'converted__s', '跟进状态']
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unicodedata.normalize("NFKC", name).strip())
    return re.sub(r"[^\w]+", "_", spaced).strip("_").casefold()


def told_by_name(name: str) -> str | None:
    """What a column of this name tells of the time after the assignment; None where the name tells nothing.

    >>> told_by_name("Last Notable Activity")
    'when or how the lead was last worked'
    >>> told_by_name("Lead Source") is None
    True
    """
    words = words_of(name)
    return next((meaning for meaning, pattern in _COMPILED if pattern.search(words)), None)

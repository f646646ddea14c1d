"""The words of the reasons, English and Chinese: tables only, so that a sentence is changed in one place.

Every wording says what the model expects, never what brings it about: a contribution is not a cause.
"""

# (kind, whether the contribution speaks for the rep) -> sentence. {seen}: what the lead says.
REASON = {
    "en": {
        ("overall", True): "{rep} looks stronger than most, whatever the lead ({points})",
        ("overall", False): "{rep} looks less strong than most, whatever the lead ({points})",
        ("segment", True): "{rep} looks good with {seen} ({points})",
        ("segment", False): "{rep} looks less used to {seen} ({points})",
        ("match", True): "{rep} fits {seen} ({points})",
        ("match", False): "{rep} fits {seen} less well ({points})",
        ("tenure", True): "time here speaks for {rep} ({points})",
        ("tenure", False): "time here speaks against {rep} ({points})",
        ("settled", True): "{rep} has been here {value} ({points})",
        ("settled", False): "{rep} has been here {value} ({points})",
        ("newcomer", True): "{rep} has been here {value} ({points})",
        ("newcomer", False): "{rep} is still new here, {value} ({points})",
        ("lead", True): "{seen}: in the lead's favour ({points})",
        ("lead", False): "{seen}: against the lead ({points})",
        ("other", True): "everything else together ({points})",
        ("other", False): "everything else together ({points})",
    },
    "zh": {
        ("overall", True): "{rep}跟进各类线索的预期都高于多数同事（{points}）",
        ("overall", False): "{rep}跟进各类线索的预期都低于多数同事（{points}）",
        ("segment", True): "{rep}较擅长{seen}的线索（{points}）",
        ("segment", False): "{rep}对{seen}的线索不太熟悉（{points}）",
        ("match", True): "{rep}与线索相合：{seen}（{points}）",
        ("match", False): "{rep}与线索不太相合：{seen}（{points}）",
        ("tenure", True): "在职时间对{rep}有利（{points}）",
        ("tenure", False): "在职时间对{rep}不利（{points}）",
        ("settled", True): "{rep}已入职{value}（{points}）",
        ("settled", False): "{rep}已入职{value}（{points}）",
        ("newcomer", True): "{rep}已入职{value}（{points}）",
        ("newcomer", False): "{rep}入职不久，仅{value}（{points}）",
        ("lead", True): "{seen}：对线索有利（{points}）",
        ("lead", False): "{seen}：对线索不利（{points}）",
        ("other", True): "其他因素合计（{points}）",
        ("other", False): "其他因素合计（{points}）",
    },
}

# What a rep states of herself that the lead asks for: (column of the roster, whether she has it) -> sentence.
FIT = {
    "en": {
        ("regions", True): "{rep} covers {value} ({points})",
        ("regions", False): "{rep} does not name {value} as a region ({points})",
        ("languages", True): "{rep} speaks {value} ({points})",
        ("languages", False): "{rep} does not list {value} as a language ({points})",
        ("skills", True): "{rep} lists {value} as a skill ({points})",
        ("skills", False): "{rep} does not list {value} as a skill ({points})",
    },
    "zh": {
        ("regions", True): "{rep}负责{value}（{points}）",
        ("regions", False): "{rep}未登记负责{value}（{points}）",
        ("languages", True): "{rep}会说{value}（{points}）",
        ("languages", False): "{rep}未登记语言{value}（{points}）",
        ("skills", True): "{rep}的专长包括{value}（{points}）",
        ("skills", False): "{rep}未登记专长{value}（{points}）",
    },
}

# In a list after a rep's name ("industry manufacturing +4.1 pts"): the topic alone.
TOPIC = {
    "en": {
        "overall": "leads of any kind",
        "tenure": "time here",
        "match": "fit on {seen}",
        "other": "everything else",
    },
    "zh": {"overall": "各类线索", "tenure": "在职时间", "match": "{seen}相合", "other": "其他因素"},
}

OVER = {
    "en": {
        "likelier": "{chosen} rather than {other}: likelier by {points}.",
        "less_likely": "{chosen} rather than {other}, although {other} looks likelier by {points}.",
        "alike": "{chosen} rather than {other}: about as likely.",
        "favour": " For {rep}: {topics}.",
        "topic": "{topic} {points}",
        "between": ", ",
        "price": " The next free slot of {other} is worth more to other leads.",
    },
    "zh": {
        "likelier": "选择{chosen}而不是{other}：预期转化概率高 {points}。",
        "less_likely": "选择{chosen}而不是{other}，尽管{other}的预期转化概率高 {points}。",
        "alike": "选择{chosen}而不是{other}：预期转化概率相近。",
        "favour": "{rep}占优：{topics}。",
        "topic": "{topic} {points}",
        "between": "、",
        "price": "{other}的下一个名额留给其他线索价值更高。",
    },
}

POINTS = {"en": "{} pts", "zh": "{} 个百分点"}
TINY = {"en": "under 0.1 pts", "zh": "不到 0.1 个百分点"}
SEEN = {"en": "{feature} {value}", "zh": "{feature}为{value}"}
UNSEEN = {"en": "no {feature} given", "zh": "未填写{feature}"}
FLAG = {"en": {True: "yes", False: "no"}, "zh": {True: "是", False: "否"}}
AGE = {
    "en": {"day": "1 day", "days": "{} days", "months": "{} months", "year": "1 year", "years": "{} years"},
    "zh": {"day": "1 天", "days": "{} 天", "months": "{} 个月", "year": "1 年", "years": "{} 年"},
}
ARRIVAL = {"en": "arrival time", "zh": "到达时间"}
JOIN = {"en": ", ", "zh": "、"}

FEATURE = {
    "annual_revenue": "年营业额",
    "budget": "预算",
    "budget_cny": "预算（元）",
    "campaign": "活动",
    "channel": "渠道",
    "city": "城市",
    "company_size": "公司规模",
    "country": "国家",
    "created_at": "到达时间",
    "deal_value": "预计金额",
    "emails_opened": "打开邮件数",
    "employees": "员工数",
    "free_email": "免费邮箱",
    "industry": "行业",
    "job_title": "职位",
    "language": "语言",
    "lead_source": "来源",
    "mailbox": "邮箱类型",
    "medium": "媒介",
    "minutes_on_site": "访问分钟数",
    "pages": "浏览页数",
    "pages_viewed": "浏览页数",
    "product": "产品",
    "product_interest": "意向产品",
    "province": "省份",
    "region": "地区",
    "role": "角色",
    "seniority": "职级",
    "size": "规模",
    "source": "来源",
    "state": "省/州",
    "tags": "标签",
    "team": "团队",
    "urgency": "紧急程度",
    "visits": "访问次数",
    "website_visits": "网站访问次数",
}

EXCLUSION = {
    "absent": "请假",
    "another region": "负责其他地区",
    "at capacity": "名额已满",
    "inactive": "已停用",
    "left": "已离职",
    "not hired yet": "尚未入职",
    "off hours": "不在工作时间",
    "had the lead before": "线索曾由其跟进",
    "outside the route": "不在该分配路线内",
    "too many leads wait for a first contact": "待首次联系的线索过多",
}

UNASSIGNED = {
    "nobody is eligible": "没有符合规则的销售",
    "nobody is free": "符合规则的销售名额都已满",
    "waiting in the pool": "在公海中等待领取",
    "waiting in the manual queue": "等待人工分配",
}

# Why a figure cannot be given, or a lead not be claimed. "#" stands for a number.
BECAUSE = {
    "# claimed leads are open, at most # may be": "已有 # 条领取的线索未结，上限为 # 条",
    "# leads were claimed today, at most # may be": "今天已领取 # 条，上限为 # 条",
    "not eligible": "不符合分配规则",
    "too few leads": "线索太少",
    "no leads": "没有线索",
    "no leads yet": "还没有线索",
    "no leads in this arm": "这一组没有线索",
    "fewer than # leads in one of the arms": "某一组不足 # 条线索",
    "an interval that holds at every look needs # leads": "随时有效区间至少需要 # 条线索",
    "no lead with a logged draw yet": "还没有经记录概率抽取的线索",
    "no lead has been given out by a logged draw in this time": "这段时间没有经记录概率抽取的线索",
    "not enough has converted yet to tell how much it takes": "转化太少，还无法推算需要多少线索",
    "fewer than # overridden leads are old enough": "到期的改派线索不足 # 条",
    "no newcomer could have had a lead in this time": "这段时间没有新人可以接收线索",
    "nobody has worked it out": "尚未计算",
    "the rule book has no floor": "分配规则没有设置保障",
    "the model has scored fewer than # leads": "模型评分的线索不足 # 条",
    "no model is in force": "没有启用的模型",
    "no model has scored these leads": "这些线索没有模型评分",
    "no lead is old enough yet": "还没有到期的线索",
    "no lead of this rep is old enough yet": "该销售还没有到期的线索",
    "fewer than three reps have leads that are old enough": "有到期线索的销售不足三人",
    "nothing has converted yet": "还没有转化",
    "fewer than two won leads say what they were worth": "注明金额的成交不足两条",
    "fewer than two leads have been scored": "已评分的线索不足两条",
    "fewer than half have been called so far": "目前联系过的不到一半",
    "fewer than nine in ten have been called": "联系过的不到九成",
    "no deadline has passed yet": "还没有到时限的线索",
    "the CRM has not said yet who got these leads": "CRM 尚未告知这些线索由谁跟进",
    "no replayed lead is old enough yet": "回放的线索都还没有到期",
}

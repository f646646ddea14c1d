"""The words of the simulated sales floor: places, trades, and the parts that names are made of."""

REGIONS = ("Guangdong", "Jiangsu", "Zhejiang", "Shanghai", "Beijing", "Sichuan", "Hong Kong", "Singapore")
REGION_SHARES = (0.19, 0.18, 0.15, 0.14, 0.12, 0.09, 0.07, 0.06)
CITIES = {
    "Guangdong": ("Guangzhou", "Shenzhen", "Dongguan", "Foshan"),
    "Jiangsu": ("Nanjing", "Suzhou", "Wuxi", "Nantong"),
    "Zhejiang": ("Hangzhou", "Ningbo", "Wenzhou", "Jiaxing"),
    "Shanghai": ("Shanghai", "Pudong", "Songjiang", "Jiading"),
    "Beijing": ("Beijing", "Haidian", "Chaoyang", "Yizhuang"),
    "Sichuan": ("Chengdu", "Mianyang", "Deyang", "Leshan"),
    "Hong Kong": ("Kowloon", "Kwun Tong", "Sha Tin", "Tsuen Wan"),
    "Singapore": ("Jurong", "Tampines", "Woodlands", "Bedok"),
}
LANGUAGES = ("Mandarin", "Cantonese", "English", "Japanese")
LANGUAGE_OF_REGION = (1, 0, 0, 0, 0, 0, 1, 2)  # positions in LANGUAGES

INDUSTRIES = (
    "manufacturing",
    "electronics",
    "software",
    "retail",
    "logistics",
    "healthcare",
    "education",
    "finance",
    "construction",
    "chemicals",
    "food",
    "textiles",
)
TRADE_WORDS = {
    "manufacturing": ("Precision", "Machinery", "Castings", "Tooling"),
    "electronics": ("Circuits", "Sensors", "Devices", "Optics"),
    "software": ("Software", "Cloud", "Data", "Networks"),
    "retail": ("Stores", "Department", "Living", "Market"),
    "logistics": ("Freight", "Logistics", "Shipping", "Express"),
    "healthcare": ("Medical", "Clinics", "Care", "Diagnostics"),
    "education": ("Academy", "Learning", "Schools", "Tutors"),
    "finance": ("Capital", "Leasing", "Insurance", "Credit"),
    "construction": ("Builders", "Steelwork", "Design Institute", "Interiors"),
    "chemicals": ("Chemicals", "Coatings", "Polymers", "Materials"),
    "food": ("Foods", "Dairy", "Beverages", "Kitchens"),
    "textiles": ("Textiles", "Garments", "Yarns", "Fabrics"),
}
SOURCES = ("web form", "referral", "trade fair", "search ad", "social media", "webinar", "partner", "purchased list")
RISING_SOURCES = (3, 4, 5)  # positions in SOURCES whose leads improve faster than the rest
LOST_REASONS = ("price", "no budget", "no answer", "competitor", "bad timing")

SURNAMES = (
    ("Li", "李"),
    ("Wang", "王"),
    ("Zhang", "张"),
    ("Liu", "刘"),
    ("Chen", "陈"),
    ("Yang", "杨"),
    ("Huang", "黄"),
    ("Zhao", "赵"),
    ("Wu", "吴"),
    ("Zhou", "周"),
    ("Xu", "徐"),
    ("Sun", "孙"),
    ("Ma", "马"),
    ("Zhu", "朱"),
    ("Hu", "胡"),
    ("Guo", "郭"),
    ("He", "何"),
    ("Lin", "林"),
    ("Luo", "罗"),
    ("Gao", "高"),
)
GIVEN_NAMES = (
    ("Na", "娜"),
    ("Wei", "伟"),
    ("Fang", "芳"),
    ("Min", "敏"),
    ("Jing", "静"),
    ("Lei", "磊"),
    ("Yang", "洋"),
    ("Yan", "艳"),
    ("Jie", "杰"),
    ("Tao", "涛"),
    ("Ming", "明"),
    ("Chao", "超"),
    ("Xia", "霞"),
    ("Ping", "平"),
    ("Gang", "刚"),
    ("Xin", "欣"),
    ("Yu", "雨"),
    ("Ting", "婷"),
    ("Hao", "浩"),
    ("Qing", "清"),
)
ENGLISH_NAMES = ("Grace", "Kevin", "Amy", "Jason", "Cindy", "Eric", "Helen", "Tony", "Vivian", "Leo")
SYLLABLES = (
    "an", "bai", "bao", "bo", "chang", "cheng", "chuan", "da", "de", "ding", "dong", "fei", "feng", "fu", "guang",
    "guo", "hai", "han", "hao", "heng", "hong", "hua", "hui", "ji", "jia", "jian", "jin", "jing", "ju", "jun",
    "kai", "kang", "ke", "lan", "le", "li", "liang", "lin", "ling", "long", "lu", "mei", "ming", "nan", "neng",
    "ning", "peng", "ping", "qi", "qiao", "qing", "rong", "rui", "sen", "shan", "sheng", "shi", "shun", "song",
    "tai", "tian", "ting", "tong", "wan", "wei", "wen", "xiang", "xin", "xing", "xiong", "xu", "ya", "yan",
    "yang", "yi", "ying", "yong", "yu", "yuan", "yun", "ze", "zhen", "zhi",
)  # fmt: skip

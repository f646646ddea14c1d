"""The frame of a run's page: HTML and its style, nothing from elsewhere, no script; every value is escaped."""

STYLE = """
:root { color-scheme: light dark; --page: #f8fafc; --card: #fff; --ink: #111827; --quiet: #6b7280; --line: #cbd5e1;
  --accent: #4f46e5; --wash: #eef2ff; --shadow: 0 1px 3px rgb(0 0 0 / .12); }
@media (prefers-color-scheme: dark) { :root { --page: #0b1120; --card: #151e2e; --ink: #e5e7eb; --quiet: #9ca3af;
  --line: #475569; --accent: #818cf8; --wash: #1e2440; --shadow: none; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 14px/1.5 system-ui, "PingFang SC",
  "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 40px 0 12px; }
h3 { font-size: 16px; margin: 0 0 4px; }
[lang=zh] { color: var(--quiet); font-weight: 400; margin-left: .4em; display: inline-block; }
p { margin: 0 0 8px; max-width: 84ch; }
ul { margin: 0; padding-left: 20px; max-width: 88ch; }
li { margin: 0 0 6px; }
.quiet { color: var(--quiet); font-size: 12px; }
.verdict { background: var(--wash); border-left: 4px solid var(--accent); border-radius: 6px; padding: 16px 20px;
  margin: 24px 0 0; }
.verdict p:last-child { margin: 0; }
.verdict [lang=zh] { display: block; margin: 2px 0 0; font-size: 16px; }
ul + .card, ul + .cards { margin-top: 12px; }
.verdict strong { display: block; font-size: 20px; line-height: 1.35; margin-bottom: 6px; }
.cards { display: grid; gap: 16px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
.card { background: var(--card); border-radius: 6px; box-shadow: var(--shadow); padding: 16px; min-width: 0; }
.card > p { color: var(--quiet); }
.picture { max-width: 440px; margin: 8px auto 4px; }
.picture svg { display: block; width: 100%; height: auto; }
.picture svg text { font-family: inherit !important; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--quiet); font-weight: 500; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.words { text-align: left; }
tr:last-child td { border-bottom: 0; }
details { margin-top: 8px; }
summary { cursor: pointer; color: var(--accent); font-size: 12px; }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
details .scroll { max-height: 320px; overflow-y: auto; }
@media (max-width: 520px) { main { padding: 16px 12px 32px; } h1 { font-size: 24px; } .card { padding: 12px; }
  .verdict { padding: 12px 14px; } .verdict strong { font-size: 18px; } }
@media print { .card { box-shadow: none; border: 1px solid var(--line); break-inside: avoid; } }
"""

TEMPLATE = """\
{%- macro both(heading) %}{{ heading.en }}<span lang="zh">{{ heading.zh }}</span>{% endmacro -%}
{%- macro table(made) %}<div class="scroll"><table>
<thead><tr>{% for name in made.head %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in made.rows %}<tr>{% for cell in row %}<td{% if made.words %} class="words"{% endif %}>\
{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>{% endmacro -%}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>leadmatch: {{ title.en }}</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<h1>{{ both(title) }}</h1>
<p class="quiet">{{ about }}</p>
<section class="verdict">
<strong>{{ both(verdict) }}</strong>
{% for line in verdict_lines %}<p>{{ line }}</p>
{% endfor %}</section>
{% for section in sections %}
<section>
<h2>{{ both(section.heading) }}</h2>
{% for line in section.lines %}<p>{{ line }}</p>
{% endfor %}
{% if section.said %}<ul>{% for line in section.said %}<li>{{ line }}</li>
{% endfor %}</ul>{% endif %}
{% if section.table and not section.cards %}<div class="card">{{ table(section.table) }}</div>{% endif %}
{% if section.cards %}<div class="cards">
{% if section.table %}<div class="card">{{ table(section.table) }}</div>{% endif %}
{% for card in section.cards %}<article class="card">
<h3>{{ both(card.heading) }}</h3>
<p>{{ card.finding }}</p>
{% if card.picture %}<div class="picture">{{ card.picture }}</div>{% endif %}
{% if card.table %}<details><summary>The values <span lang="zh">数值</span></summary>{{ table(card.table) }}</details>
{% endif %}</article>
{% endfor %}</div>{% endif %}
</section>
{% endfor %}
</main>
</body>
</html>
"""

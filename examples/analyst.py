"""The analyst that `model-server.py` plays: one function a task, and the scripts it writes.

A task is a generator. It yields what it says together with the tools it calls, and is sent their results; it must take
every number from them, and raise `Refused` where a result is not what an answer could be made from.
"""

import csv
import json
import re


class Refused(Exception):
    """What stands in the request is not what an answer could be made from."""


# ---- what the analyst writes -----------------------------------------------------------------------------------------

PROFILE_SCRIPT = '''\
"""Counts what is in the file: rows, repeats, missing values, ranges."""
import collections, csv, json

KEY = %(key)s
KINDS = %(kinds)s

with open("/inputs/sales.csv", newline="") as source:
    rows = list(csv.DictReader(source))

seen = collections.Counter(row[KEY] for row in rows)
missing = {name: sum(1 for row in rows if not row[name]) for name in KINDS}
columns = {}
for name, kind in KINDS.items():
    values = [row[name] for row in rows if row[name]]
    column = {"kind": kind}
    if kind == "number":
        values = [float(value) for value in values]
    if kind != "text":
        column["smallest"], column["largest"] = min(values), max(values)
    elif len(set(values)) <= 12:
        column["values"] = dict(sorted(collections.Counter(values).items()))
    columns[name] = column
profile = {"rows": len(rows), "duplicates": len(rows) - len(seen), "missing": missing, "columns": columns}
with open("/workspace/profile.json", "w") as target:
    json.dump(profile, target, indent=2)
    target.write("\\n")
print(json.dumps({key: profile[key] for key in ("rows", "duplicates", "missing")}))
'''

ANALYSIS_SCRIPT = '''\
"""Adds up the orders and draws the chart; prints the sums in cents."""
import collections, csv, json, sys
from decimal import Decimal

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")

%(drawing)s

with open("/inputs/sales.csv", newline="") as source:
    orders = {}
    repeats = 0
    for row in csv.DictReader(source):
        repeats += row["order_id"] in orders
        orders.setdefault(row["order_id"], row)

regions, products, quarters = collections.Counter(), collections.Counter(), collections.defaultdict(collections.Counter)
months = collections.defaultdict(collections.Counter)
returns = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
left_out = 0
for row in orders.values():
    if not (row["units"] and row["unit_price"] and row["discount"]):
        left_out += 1
        continue
    cents = round(100 * int(row["units"]) * Decimal(row["unit_price"]) * (1 - Decimal(row["discount"])))
    region = row["region"].strip().capitalize() or "Unknown"
    month = row["date"][:7]
    regions[region] += cents
    products[row["product"]] += cents
    months[region][month] += cents
    quarters[region]["%%s Q%%d" %% (month[:4], (int(month[5:]) + 2) // 3)] += cents
    if row["returned"]:
        for place in ("", region):
            returns[row["product"]][place][0] += row["returned"] == "yes"
            returns[row["product"]][place][1] += 1

names = sorted({month for line in months.values() for month in line})
draw(names, {region: [months[region][name] / 100 for name in names] for region in sorted(regions)})
first, last = min(q for line in quarters.values() for q in line), max(q for line in quarters.values() for q in line)
print(json.dumps({
    "orders": len(orders) - left_out, "repeats": repeats, "left_out": left_out, "months": [names[0], names[-1]],
    "regions": dict(regions.most_common()), "products": dict(products.most_common()), "quarters": [first, last],
    "growth": {region: [quarters[region][first], quarters[region][last]] for region in sorted(regions)},
    "returns": {product: places for product, places in sorted(returns.items())},
}))
'''

PYGAL_DRAWING = '''\
try:
    import pygal
except ModuleNotFoundError as missing:
    sys.exit("ModuleNotFoundError: %s" % missing)


def draw(names, lines):
    chart = pygal.Line(title="Net revenue by month", x_labels=names, x_label_rotation=30, width=960, height=480,
                       value_formatter=lambda value: format(value, ",.0f"), js=[], no_prefix=True,
                       style=pygal.style.Style(colors=COLOURS))
    for region, values in lines.items():
        chart.add(region, values)
    chart.render_to_file("/workspace/chart.svg")'''

PLAIN_DRAWING = '''\
from xml.sax.saxutils import escape


def draw(names, lines):
    top = max(max(values) for values in lines.values()) or 1
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 480" font-family="sans-serif" font-size="12">',
             '<text x="60" y="24" font-size="16">Net revenue by month, %s to %s</text>' % (names[0], names[-1])]
    for part in range(5):
        y = 440 - 95 * part
        parts.append('<path stroke="#ddd" d="M60 %d H820"/><text x="52" y="%d" text-anchor="end">%s</text>'
                     % (y, y + 4, format(part * top / 4, ",.0f")))
    for index, (region, values) in enumerate(lines.items()):
        step = 760 / max(1, len(values) - 1)
        points = " ".join("%.1f,%.1f" % (60 + i * step, 440 - 380 * value / top) for i, value in enumerate(values))
        colour = COLOURS[index % len(COLOURS)]
        parts.append('<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>' % (colour, points))
        parts.append('<text x="840" y="%d" fill="%s">%s</text>' % (60 + 20 * index, colour, escape(region)))
    parts.append("</svg>")
    with open("/workspace/chart.svg", "w") as target:
        target.write("\\n".join(parts) + "\\n")'''

COLUMNS = ("order_id", "date", "region", "product", "units", "unit_price", "discount", "returned")


# ---- tool calls and what came back ------------------------------------------------------------------------------------


def shell(command):
    return ("shell", {"command": command})


def read_file(path):
    return ("read_file", {"path": path})


def write_file(path, content):
    return ("write_file", {"path": path, "content": content})


def finish(summary):
    return ("finish", {"summary": summary})


def parsed(result, what):
    try:
        value = json.loads(result)
    except ValueError:
        raise Refused("%s: the tool result is not JSON: %.200s" % (what, result)) from None
    if not isinstance(value, dict):
        raise Refused("%s: the tool result is not an object: %.200s" % (what, result))
    if value.get("error"):
        raise Refused("%s: the tool failed: %s" % (what, value["error"]))
    return value


def ran(result, what):
    """The fields of a shell result, whatever the command's exit code was."""
    value = parsed(result, what)
    if not isinstance(value.get("exit"), int) or not all(isinstance(value.get(k), str) for k in ("stdout", "stderr")):
        raise Refused("%s: a shell result has exit, stdout and stderr; this one has %s" % (what, sorted(value)))
    if value.get("truncated"):
        raise Refused("%s: the output was cut" % what)
    return value


def output(result, what):
    value = ran(result, what)
    if value["exit"] != 0:
        raise Refused("%s: exit code %d: %s" % (what, value["exit"], value["stderr"].strip() or value["stdout"].strip()))
    return value["stdout"]


def numbers(text, what, keys):
    """The JSON object on the last line of `text`, which a script of ours printed."""
    lines = text.strip().splitlines()
    try:
        value = json.loads(lines[-1]) if lines else None
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(key in value for key in keys):
        raise Refused("%s: no line of JSON with %s in: %.300s" % (what, ", ".join(keys), text))
    return value


def content(result, what):
    value = parsed(result, what)
    if not isinstance(value.get("content"), str) or value.get("truncated"):
        raise Refused("%s: a file's whole content is needed; the result has %s" % (what, sorted(value)))
    return value["content"]


def money(cents):
    return "{:,.2f}".format(cents / 100)


def percent(part, whole):
    return "%.1f %%" % (100 * part / whole) if whole else "n/a"


# ---- the tasks: each yields what it says and calls, and is sent the results -------------------------------------------


def gather(prompt):
    start, count = yield "First a look at the file.", [
        shell("head -n 20 /inputs/sales.csv"),
        shell("wc -l < /inputs/sales.csv"),
    ]
    sample = list(csv.DictReader(output(start, "head").splitlines()))
    if not sample:
        raise Refused("head: no header and row in the output")
    lines = output(count, "wc").strip()
    if not lines.isdigit():
        raise Refused("wc: not a number: %.100s" % lines)
    kinds = {name: kind_of([row[name] for row in sample if row[name]]) for name in sample[0]}
    key = next((name for name in kinds if name.endswith("id")), next(iter(kinds)))
    script = PROFILE_SCRIPT % {"key": json.dumps(key), "kinds": json.dumps(kinds)}
    (written,) = yield "%d columns; a script shall count the rest." % len(kinds), [
        write_file("/workspace/count.py", script)
    ]
    parsed(written, "write_file")
    (counted,) = yield "", [shell("python3 /workspace/count.py")]
    found = numbers(output(counted, "count.py"), "count.py", ("rows", "duplicates", "missing"))
    if found["rows"] not in (int(lines) - 1, int(lines)):  # the last line may lack its newline
        raise Refused("count.py counts %d rows, but wc saw %s lines" % (found["rows"], lines))
    gaps = {name: number for name, number in found["missing"].items() if number}
    verdict = "sums can be trusted once repeated orders count once and rows without a number are left out"
    if not gaps and not found["duplicates"]:
        verdict = "sums can be trusted as they are"
    yield "", [
        finish(
            "%d rows, %d of them repeat an order; missing values: %s; %s."
            % (found["rows"], found["duplicates"], listed(gaps), verdict)
        )
    ]


def kind_of(values):
    if values and all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) for value in values):
        return "date"
    if values and all(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in values):
        return "number"
    return "text"


def listed(gaps):
    return ", ".join("%s %d" % item for item in gaps.items()) or "none"


def analyse(prompt):
    asked = re.search(r"drawn with ([a-z0-9-]+) (\d[\d.]*\d)", prompt)
    if not asked:
        raise Refused("the prompt does not say which package, in which version, draws the chart")
    package, version = asked.groups()
    if package != "pygal":
        raise Refused("this analyst draws with pygal only, the prompt asks for %s" % package)
    (known,) = yield "What is known about the data?", [read_file("/inputs/gather/profile.json")]
    profile = json_object(content(known, "profile.json"), "profile.json")
    absent = [name for name in COLUMNS if name not in profile.get("columns", {})]
    if absent:
        raise Refused("profile.json knows no column %s" % ", ".join(absent))
    script = ANALYSIS_SCRIPT % {"drawing": PYGAL_DRAWING}
    (written,) = yield "%d rows. The script for sums and chart:" % profile["rows"], [
        write_file("/workspace/analyse.py", script)
    ]
    parsed(written, "write_file")
    (run,) = yield "", [shell("python3 /workspace/analyse.py")]
    verdict = None
    if ran(run, "analyse.py")["exit"] != 0:
        words = ran(run, "analyse.py")["stderr"].strip()
        if "ModuleNotFoundError" not in words:
            raise Refused("analyse.py failed for a reason that no package mends: %s" % words)
        verdict = yield from obtain(package, version, words)
        if verdict is not None:
            (written,) = yield "Then the chart is drawn by hand.", [
                write_file("/workspace/analyse.py", ANALYSIS_SCRIPT % {"drawing": PLAIN_DRAWING})
            ]
            parsed(written, "write_file")
        (run,) = yield "", [shell("python3 /workspace/analyse.py")]
    keys = ("orders", "repeats", "left_out", "months", "regions", "products", "quarters", "growth", "returns")
    found = numbers(output(run, "analyse.py"), "analyse.py", keys)
    report, headline = written_report(found, profile, package, verdict)
    wrote, chart = yield "The numbers stand; now the report.", [
        write_file("/workspace/report.md", report),
        shell("grep -c '</svg>' /workspace/chart.svg"),
    ]
    parsed(wrote, "write_file")
    output(chart, "the chart's end")
    yield "", [finish(headline)]


def obtain(package, version, words):
    """Tries to install, then asks. Returns None, or the sentence that says why the package is not to be had."""
    command = "PIP_BREAK_SYSTEM_PACKAGES=1 pip install --retries 0 %s==%s 2>&1 | tail -n 1" % (package, version)
    (tried,) = yield "%s is not here. Can it be installed?" % package, [shell(command)]
    result = ran(tried, "pip")
    said = result["stdout"].strip()
    if said.startswith("Successfully installed"):
        return None
    if not said.startswith("ERROR"):
        raise Refused("pip: neither an error nor a success: %.300s" % said)
    codes = sorted({str(refusal.get("code")) for refusal in result.get("refused") or []})
    reason = "The chart has to be drawn with %s %s. Importing it fails (%s), and pip cannot fetch it%s." % (
        package,
        version,
        words.splitlines()[-1],
        " because the gate refuses its connection (%s)" % ", ".join(codes) if codes else "",
    )
    (decision,) = yield "No. I have to ask.", [
        ("request_capability", {"capability": "pip:%s==%s" % (package, version), "reason": reason})
    ]
    answer = json_object(decision, "request_capability")
    if answer.get("error"):
        return "%s could not be asked for: %s" % (package, answer["error"])
    status, comment = answer.get("status"), (answer.get("comment") or "").strip()
    if status in ("approved", "applied"):
        return None
    if status not in ("denied", "failed", "unresolvable", "expired", "superseded", "withdrawn"):
        raise Refused("request_capability: %r is no decision" % status)
    return "The request for %s was %s%s" % (package, status, ": %s" % comment if comment else ".")


def written_report(found, profile, package, verdict):
    regions, products = found["regions"], found["products"]
    total = sum(regions.values())
    best = list(products.items())[:2]
    growth = {region: (last - first, first) for region, (first, last) in found["growth"].items() if region in regions}
    rates = {p: places[""] for p, places in found["returns"].items() if places[""][1]}
    if not total or len(best) < 2 or not rates:
        raise Refused("analyse.py: too little data for a report: %s" % json.dumps(found)[:300])
    worst = max(rates, key=lambda product: rates[product][0] / rates[product][1])
    where = {place: n for place, n in found["returns"][worst].items() if place and n[1] >= 10}
    place = max(where, key=lambda region: where[region][0] / where[region][1]) if where else None
    lines = ["# Sales, %s to %s" % tuple(found["months"]), ""]
    lines += ["Net revenue: **%s** from %d orders." % (money(total), found["orders"]), ""]
    lines += ["| region | net revenue | share | %s | %s | growth |" % tuple(found["quarters"])]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    for region, cents in regions.items():
        first, last = found["growth"][region]
        change = "%+.1f %%" % (100 * (last - first) / first) if first else "n/a"
        row = (region, money(cents), percent(cents, total), money(first), money(last), change)
        lines.append("| %s | %s | %s | %s | %s | %s |" % row)
    lines += ["", "![Net revenue by month](chart.svg)", "", "## What stands out", ""]
    lines += ["- Best products: %s." % " and ".join("%s (%s)" % (name, money(cents)) for name, cents in best)]
    named = {region: 100 * change / first for region, (change, first) in growth.items() if first and region != "Unknown"}
    for region, change in sorted(named.items(), key=lambda item: -item[1]):
        word = "grew" if change >= 0 else "shrank"
        lines.append("- %s %s by %.1f %% from %s to %s." % (region, word, abs(change), *found["quarters"]))
    back, of = rates[worst]
    line = "- Returns to look at: %s, %d of %d orders came back (%s)" % (worst, back, of, percent(back, of))
    lines.append(line + (", in %s %s." % (place, percent(*where[place])) if place else "."))
    lines += ["", "## The data", ""]
    lines.append("- %d rows were read; %d repeated an order and were counted once." % (profile["rows"], found["repeats"]))
    lines.append("- %d orders lack a number and were left out." % found["left_out"])
    gaps = {name: number for name, number in profile.get("missing", {}).items() if number}
    lines.append("- Missing values by column: %s." % listed(gaps))
    if verdict is None:
        lines.append("- The chart was drawn with %s." % package)
    else:
        lines.append("- The chart was drawn without %s. %s" % (package, verdict))
    headline = "Net revenue %s from %d orders; %s returns need a look." % (money(total), found["orders"], worst)
    return "\n".join(lines) + "\n", headline


def wrap_up(prompt):
    (read,) = yield "The report:", [read_file("/inputs/analyse/report.md")]
    report = content(read, "report.md")
    total = found_line(r"^Net revenue: \*\*([\d,.]+)\*\* from (\d+) orders\.$", report)
    product = found_line(r"^- Best products: (.+ \([\d,.]+\)) and ", report)
    returns = found_line(r"^- Returns to look at: (.+?), (\d+) of (\d+) orders came back \((.+? %)\)(?:, in (.+)\.)?", report)
    moves = re.findall(r"^- (.+) (grew|shrank) by ([\d.]+ %) from (.+) to (.+)\.$", report, re.MULTILINE)
    if not moves:
        raise Refused("report.md: no line says which region grew or shrank")
    lines = ["# Sales in short", "", "Net revenue is %s from %s orders." % total.groups(), ""]
    lines.append("- Ahead: %s." % product.group(1))
    for word, label in (("grew", "Growing"), ("shrank", "Shrinking")):
        there = ["%s (%s)" % (region, share) for region, how, share, _, _ in moves if how == word]
        lines.append("- %s: %s." % (label, ", ".join(there) or "nobody"))
    place = " Start in %s." % returns.group(5).rsplit(" ", 2)[0] if returns.group(5) else ""
    lines.append("- Next: find out why %s of the %s orders come back.%s" % (returns.group(4), returns.group(1), place))
    summary = "\n".join(lines) + "\n"
    (written,) = yield "", [write_file("/workspace/report.md", summary)]
    parsed(written, "write_file")
    yield "", [finish("Net revenue %s; next, look into the returns of %s." % (total.group(1), returns.group(1)))]


def overview(prompt):
    """What a run that was started with nothing but a prompt asks for."""
    head, count = yield "What is in it?", [
        shell("head -n 1 /inputs/sales.csv"),
        shell("wc -l < /inputs/sales.csv"),
    ]
    columns = output(head, "head").strip().split(",")
    lines = output(count, "wc").strip()
    if not lines.isdigit():
        raise Refused("wc: not a number: %.100s" % lines)
    report = "# sales.csv\n\n%s lines after the first, which names %d columns: %s.\n" % (
        int(lines) - 1,
        len(columns),
        ", ".join(columns),
    )
    (written,) = yield "", [write_file("/workspace/report.md", report)]
    parsed(written, "write_file")
    yield "", [finish("%d columns, %d lines." % (len(columns), int(lines) - 1))]


def found_line(pattern, report):
    match = re.search(pattern, report, re.MULTILINE)
    if not match:
        raise Refused("report.md: no line like %s" % pattern)
    return match


def json_object(text, what):
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Refused("%s is not JSON: %s" % (what, error)) from None
    if not isinstance(value, dict):
        raise Refused("%s is not an object" % what)
    return value


# The first line of a node's prompt says which task it is.
TASKS = {
    "# Profile the sales data": gather,
    "# Analyse the sales": analyse,
    "# Sum up the report": wrap_up,
    "Analyse sales.csv": overview,
}

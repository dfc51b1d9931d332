#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows what merge.py made: as tables on the terminal, or in a document.

usage: show.py RESULTS                     prints the tables
       show.py RESULTS --markdown FILE     renews those of a document
       show.py RESULTS --check FILE        says whether they are renewed

In a document a line <!-- table: KIND --> begins a table and <!-- end --> ends
it; KIND is machine, targets, missing, or cases NAME for all that bench-NAME
measured; with PATTERN... after it for some of that, by key, or with but
PATTERN... for the others.
"""
import fnmatch
import json
import re
import sys

BUT = ("but",)
OUT_OF_REACH = "missed, out of reach"
# What is printed of each program: the cases, both sides of each comparison.
MAIN = (
    ("One record", "record",
     ("empty", "ticks", "floor-16", "inline-16", "call-16", "write-16",
      "call-write-16", "alone-empty", "alone-floor-16", "alone-inline-16",
      "floor-64",
      "inline-64", "floor-256", "inline-256", "atomic-16", "full-16",
      "call-full-16", "count-16", "stopped-16", "crossing",
      "least-crossing")),
    ("A live consumer", "consumer", ()),
    ("Other tracers and queues", "peers", ()),
    ("A single record, tails and cold caches", "latency",
     ("empty-p50", "floor-16-p50", "floor-16-p99.9", "inline-16-p50",
      "inline-16-p99", "inline-16-p99.9", "inline-16-p99.99",
      "call-16-p50", "call-16-p99.9", "crossing-mean", "least-crossing-mean",
      "cold-empty", "cold-floor-16", "cold-touch-16", "cold-inline-16",
      "flush-nothing", "flush-idle", "flush-busy",
      "flush-fence")),
    ("More threads", "scaling", ()),
    ("Sustained", "sustained", ()),
    ("Draining", "drain", BUT + ("*-cpu",)),
    ("Records inside records", "nesting",
     ("calls-0", "calls-1", "calls-2", "calls-3", "calls-4")),
    ("Memory", "footprint",
     ("ring", "ring-64", "ring-1024", "channel", "bytes-8", "bytes-16",
      "bytes-64", "lines-control", "lines-data")),
    ("100,000 records a second", "self_monitor", ()),
    ("A snapshot", "snapshot", ()),
)


def figure(number):
    """At least three digits that count."""
    if number is None:
        return "-"
    size = abs(number)
    if size >= 100000:
        return f"{number:.3g}"
    if size >= 100:
        return f"{number:.0f}"
    return f"{number:.{1 if size >= 20 else 2 if size >= 1 else 3}f}"


def limit_of(row):
    return f"{'>=' if row['at_least'] else '<='} {row['limit']:g}"


# ---- rows, for both forms ----

def figure_of(row, name):
    """With its unit. A figure that decides nothing is no figure."""
    value = None if row["reason"] else row[name]["median"]
    unit = "" if row["unit"] == "x" or value is None else f" {row['unit']}"
    return figure(value) + unit


def target_rows(results):
    """(number, what, figure, at best, limit, verdict) of each row."""
    for target in results["targets"]:
        number = str(target["number"])
        for row in target["rows"]:
            verdict = row["verdict"]
            if row["reason"]:
                verdict += f": {row['reason']}"
            if "value" not in row:
                yield number, row["text"], "-", "", target["limit"], verdict
                number = ""
                continue
            yield (number, row["text"], figure_of(row, "value"),
                   figure_of(row, "best") if "best" in row else "",
                   limit_of(row), verdict)
            number = ""


def is_chosen(key, patterns):
    is_other = patterns[:1] == BUT
    if is_other:
        patterns = patterns[1:]
    return not patterns or is_other != any(
        fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def case_rows(program, patterns):
    for one in program["cases"]:
        if not is_chosen(one["key"], patterns):
            continue
        value = one["value"]
        # What could not be measured took no time.
        if one["unit"] == "ns" and not value["max"]:
            yield one["name"], "-", "-", "-", one["unit"], "", ""
            continue
        yield (one["name"], figure(value["median"]), figure(value["min"]),
               figure(value["max"]), one["unit"],
               figure(one["ratio"]["median"]) if "base" in one else "",
               one.get("base", ""))


def machine_rows(results):
    machine = results["machine"]
    for key, name in (("processor", "processor"), ("model", ""),
                      ("caches", "caches"), ("cpus", "CPUs"),
                      ("memory", "memory"),
                      ("virtualization", "virtualization"),
                      ("governor", "frequency governor"),
                      ("clock_source", "clock source"), ("tsc", "TSC"),
                      ("system", "system"), ("kernel", "Linux"),
                      ("libc", "C library"), ("compiler", "gcc"),
                      ("build", "build")):
        if machine.get(key):
            yield name, str(machine[key])
    yield "load average while it ran", results["load"]
    yield "date", results["date"]
    yield "revision", results["revision"]


def missing_rows(results):
    for name, reason in results["skipped"].items():
        yield f"bench-{name} {reason}"
    yield from results["notes"]


def count(results):
    verdicts = [target["verdict"] for target in results["targets"]]
    beyond = verdicts.count(OUT_OF_REACH)
    return (f"{len(verdicts)} targets: {verdicts.count('met')} met, "
            f"{verdicts.count('missed') + beyond} missed, "
            f"{beyond} of these out of reach, "
            f"{verdicts.count('not decided')} not decided")


# ---- on the terminal ----

def print_cases(results):
    for title, name, patterns in MAIN:
        program = results["programs"].get(name)
        if not program:
            continue
        print(f"\n{title + f' (bench-{name})':37} {'median':>8} {'min':>8} "
              f"{'max':>8}       {'ratio':>6} to")
        for row in case_rows(program, patterns):
            text, median, least, most, unit, ratio, base = row
            print(f"{text:37} {median:>8} {least:>8} {most:>8} {unit:5} "
                  f"{ratio:>6} {base}".rstrip())


def print_targets(results):
    print(f"\n {'#':>2} {'target':50} {'figure':>10} {'at best':>10} "
          f"{'limit':>8}")
    for number, text, shown, best, limit, verdict in target_rows(results):
        print(f" {number:>2} {text:50} {shown:>10} {best:>10} {limit:>8} "
              f"{verdict}")
    print(f"\n{count(results)}")


def print_tables(results):
    for name, text in machine_rows(results):
        print(f"{name:26} {text}")
    if results["short"]:
        print("Few repetitions: this shows that it works, not what it costs.")
    print_cases(results)
    print_targets(results)
    for text in missing_rows(results):
        print(f"missing: {text}")


# ---- in a document ----

def table(heading, alignment, rows):
    lines = ["| " + " | ".join(heading) + " |",
             "|" + "|".join(alignment) + "|"]
    for row in rows:
        cells = [cell.strip().replace("|", "\\|") for cell in row]
        # Names that begin with spaces are of the row above.
        if row[0].startswith("  "):
            cells[0] = "– " + cells[0]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def marked_targets(results):
    for *cells, verdict in target_rows(results):
        if verdict.startswith("missed"):
            verdict = verdict.replace("missed", "**missed**")
        yield *cells, verdict


def block(results, kind):
    """The lines between two markers."""
    words = kind.split()
    if words == ["machine"]:
        return table(("", ""), ("---", "---"), machine_rows(results))
    if words == ["targets"]:
        return [*table(("#", "what", "measured", "at best", "limit", ""),
                       ("---:", "---", "---:", "---:", "---:", "---"),
                       marked_targets(results)), "", f"{count(results)}."]
    if words == ["missing"]:
        return [f"- {text}" for text in missing_rows(results)] or [
            "Nothing was missing."]
    if len(words) >= 2 and words[0] == "cases":
        program = results["programs"].get(words[1])
        if not program:
            return [f"bench-{words[1]} was not run."]
        return table(("", "median", "least", "most", "", "ratio", "to"),
                     ("---", "---:", "---:", "---:", "---", "---:", "---"),
                     case_rows(program, tuple(words[2:])))
    raise ValueError(f"there is no table of {kind}")


def renew(text, results):
    """The document with its tables renewed."""
    lines = []
    inside = None
    for line in text.split("\n"):
        begin = re.fullmatch(r"<!-- table: (.+) -->", line)
        if begin and inside:
            raise ValueError(f"the table of {inside} does not end")
        if begin:
            inside = begin.group(1)
            lines += [line, *block(results, inside)]
            continue
        if line == "<!-- end -->":
            if not inside:
                raise ValueError("a table ends that did not begin")
            inside = None
        if not inside:
            lines.append(line)
    if inside:
        raise ValueError(f"the table of {inside} does not end")
    return "\n".join(lines)


def document(results, path, is_check):
    with open(path, encoding="utf-8") as file:
        old = file.read()
    new = renew(old, results)
    if is_check:
        if new != old:
            print(f"{path}: its tables are not of these results",
                  file=sys.stderr)
        return new != old
    with open(path, "w", encoding="utf-8") as file:
        file.write(new)
    return 0


def main(words):
    if len(words) not in (1, 3) or words[1:2] not in (
            [], ["--markdown"], ["--check"]):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    path = words[0]
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
        if len(words) == 1:
            print_tables(results)
            return 0
        path = words[2]
        return int(document(results, path, words[1] == "--check"))
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
    except (KeyError, TypeError) as error:
        print(f"{path}: not what merge.py writes: {error!r}", file=sys.stderr)
    except ValueError as error:
        print(f"{path}: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

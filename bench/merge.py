#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Merges what benchmarks wrote with --json, and decides every target.

A target is met when all of its rows are, missed when any is, otherwise not
decided. What is missed is out of reach when the limit is beyond the row's
bound, too: the figure at best, measured beside it. A target is out of reach
when all rows that it misses are. A program that ran and does not say what
targets.json expects of it is an error, and so is a row with another limit, or
one out of reach by no bound.
"""
import argparse
import datetime
import glob
import json
import math
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
NUMBERS = ("median", "min", "max", "p10", "p90")
OUT_OF_REACH = "missed, out of reach"
DECIDED = ("met", "missed", OUT_OF_REACH)


class Wrong(Exception):
    """The input is not what it must be: which file, and why."""


# ---- reading ----

def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise Wrong(f"{path}: not JSON: {error}") from error


def is_number(value):
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value))


def member(path, where, of, name, kind):
    """The member of an object, if it is there and is of that kind."""
    if not isinstance(of, dict):
        raise Wrong(f"{path}: {where} is no object")
    if name not in of:
        raise Wrong(f"{path}: {where} has no {name}")
    if not isinstance(of[name], kind) or isinstance(of[name], bool) != (
            kind is bool):
        raise Wrong(f"{path}: {name} of {where} is of the wrong kind")
    return of[name]


def check_numbers(path, where, of, name):
    numbers = member(path, where, of, name, dict)
    for key in NUMBERS:
        if key not in numbers:
            raise Wrong(f"{path}: {name} of {where} has no {key}")
        if numbers[key] is not None and not is_number(numbers[key]):
            raise Wrong(f"{path}: {key} of {where} is no number")


def check_case(path, one, keys):
    key = member(path, "a case", one, "key", str)
    if key in keys:
        raise Wrong(f"{path}: two cases are called {key}")
    keys.add(key)
    member(path, key, one, "name", str)
    member(path, key, one, "unit", str)
    check_numbers(path, key, one, "value")
    if "base" in one:
        check_numbers(path, key, one, "ratio")


def check_row(path, row):
    number = member(path, "a target", row, "number", str)
    where = f"target {number}"
    for name, kind in (("text", str), ("unit", str), ("verdict", str),
                       ("at_least", bool)):
        member(path, where, row, name, kind)
    check_numbers(path, where, row, "value")
    if not is_number(row.get("limit")):
        raise Wrong(f"{path}: {where} has no limit")
    if row["verdict"] in DECIDED and row["value"]["median"] is None:
        raise Wrong(f"{path}: {where} is {row['verdict']} without a figure")
    if "best" in row:
        check_numbers(path, where, row, "best")
        member(path, where, row, "best_by", str)
    claims = row["verdict"] == OUT_OF_REACH
    if row["verdict"] in DECIDED[1:] and is_beyond(row, claims) != claims:
        raise Wrong(f"{path}: {where} is {row['verdict']}, its bound says "
                    "otherwise")


def is_beyond(row, at_limit):
    """Whether the limit is out of reach by the row's bound, if it has one.
    Figures are rounded: at the limit itself the program knows better."""
    best = row["best"]["median"] if "best" in row else None
    if best is None:
        return False
    if math.isclose(best, row["limit"], abs_tol=0.0001):
        return at_limit
    return best < row["limit"] if row["at_least"] else best > row["limit"]


def read_program(path):
    program = load(path)
    name = member(path, "it", program, "benchmark", str)
    member(path, name, program, "machine", dict)
    keys = set()
    for one in member(path, name, program, "cases", list):
        check_case(path, one, keys)
    for one in program["cases"]:
        if one.get("base", one["key"]) not in keys:
            raise Wrong(f"{path}: {one['key']} is compared with "
                        f"{one['base']}, which is not there")
    for row in member(path, name, program, "targets", list):
        check_row(path, row)
    return program


def read_targets(path):
    targets = member(path, "it", load(path), "targets", list)
    for target in targets:
        number = member(path, "a target", target, "number", int)
        where = f"target {number}"
        for name, kind in (("text", str), ("limit", str), ("limits", list),
                           ("programs", dict)):
            member(path, where, target, name, kind)
        if not target["programs"]:
            raise Wrong(f"{path}: nobody decides {where}")
    numbers = [target["number"] for target in targets]
    if numbers != list(range(1, len(numbers) + 1)):
        raise Wrong(f"{path}: targets are not numbered 1 to {len(numbers)}")
    return targets


# ---- deciding ----

def rows_of(path, target, name, programs):
    """What one program says about a target, as rows."""
    path_of = programs[name]["path"]
    rows = []
    for row in programs[name]["program"]["targets"]:
        if row["number"] != str(target["number"]):
            continue
        where = f"{path_of}: target {row['number']}"
        if not any(math.isclose(row["limit"], limit)
                   for limit in target["limits"]):
            raise Wrong(f"{where}: limit {row['limit']:g}, in {path} it is "
                        f"{target['limit']}")
        if row["at_least"] != target.get("at_least", False):
            raise Wrong(f"{where}: the limit is from the other side")
        decided = row["verdict"] in DECIDED
        rows.append({
            "program": name, "text": row["text"], "value": row["value"],
            "unit": row["unit"], "limit": row["limit"],
            "at_least": row["at_least"],
            "verdict": row["verdict"] if decided else "not decided",
            "reason": None if decided else
            re.sub(r"^(not decided|skipped): ", "", row["verdict"]),
            **{key: row[key] for key in ("best", "best_by") if key in row},
        })
    least = target["programs"].get(name, 0)
    if len(rows) < least:
        raise Wrong(f"{path_of}: of target {target['number']} it has "
                    f"{len(rows)} rows, {path} says {least}")
    return rows


def decide(path, target, programs, skipped):
    rows = []
    for name in sorted({*target["programs"], *programs}):
        if name in programs:
            rows += rows_of(path, target, name, programs)
        else:
            reason = skipped.get(name, "was not run")
            rows.append({"program": name, "text": target["text"],
                         "verdict": "not decided",
                         "reason": f"bench-{name} {reason}"})
    verdicts = [row["verdict"] for row in rows]
    verdict = next(one for one in ("missed", OUT_OF_REACH, "not decided",
                                   "met") if one in verdicts)
    return {"number": target["number"], "text": target["text"],
            "limit": target["limit"], "verdict": verdict, "rows": rows}


def check_known(path, targets, programs):
    known = {str(target["number"]) for target in targets}
    for one in programs.values():
        for row in one["program"]["targets"]:
            if row["number"] not in known:
                raise Wrong(f"{one['path']}: target {row['number']} is not "
                            f"in {path}")


# ---- the machine ----

def line_of(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return None


def output_of(*command):
    try:
        run = subprocess.run(command, cwd=HERE, text=True, check=False,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return run.stdout.strip()


def processor():
    """What /proc/cpuinfo says of the first CPU."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            first = file.read().split("\n\n")[0]
    except OSError:
        return {}
    return dict(re.findall(r"^([^\t:]+?)\s*: (.*)$", first, re.M))


def caches():
    found = []
    for folder in sorted(glob.glob(
            "/sys/devices/system/cpu/cpu0/cache/index*")):
        level = line_of(f"{folder}/level")
        kind = line_of(f"{folder}/type")
        size = line_of(f"{folder}/size")
        if level and kind and size and kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "unknown"


def virtualization(cpu):
    if "hypervisor" not in cpu.get("flags", "").split():
        return "none seen"
    kind = output_of("systemd-detect-virt", "--vm")
    return f"virtual machine ({kind})" if kind else "virtual machine"


def memory():
    kib = re.findall(r"\d+", line_of("/proc/meminfo") or "")
    return f"{int(kib[0]) / 1048576:.1f} GiB" if kib else "unknown"


def system():
    text = output_of("sh", "-c", ". /etc/os-release && echo $PRETTY_NAME")
    return text or "unknown"


def glibc():
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "unknown"
    except (OSError, ValueError):
        return "unknown"


def revision():
    commit = output_of("git", "rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    changed = output_of("git", "status", "--porcelain", "--", "../lib",
                        "../include", ".")
    return commit + (", changed" if changed else "")


def machine(programs, build):
    cpu = processor()
    found = {
        "model": " ".join(f"{name} {cpu[name]}" for name in
                          ("cpu family", "model", "stepping") if name in cpu),
        "caches": caches(),
        "memory": memory(),
        "system": system(),
        "libc": glibc(),
        "virtualization": virtualization(cpu),
        "governor": line_of("/sys/devices/system/cpu/cpu0/cpufreq/"
                            "scaling_governor") or "not visible",
        "tsc": " ".join(flag for flag in cpu.get("flags", "").split()
                        if flag in ("constant_tsc", "nonstop_tsc")),
        "build": build,
    }
    for one in programs.values():
        return {**one["program"]["machine"], **found}
    return found


# ---- main ----

def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE")
    add("--out", metavar="FILE", help="writes it there [standard output]")
    add("--targets", metavar="FILE", default=str(HERE / "targets.json"),
        help="the list of targets [targets.json beside this script]")
    add("--skipped", metavar="'NAME: REASON'", action="append", default=[],
        help="a program that could not run")
    add("--note", metavar="TEXT", action="append", default=[],
        help="what else could not be had, and why")
    add("--build", metavar="TEXT", default="unknown",
        help="how the programs were built")
    add("--load", metavar="TEXT", default="unknown",
        help="load averages while they ran")
    add("--short", action="store_true",
        help="few repetitions: shows that it works")
    return parser.parse_args()


def merge(given):
    programs = {}
    for path in given.files:
        program = read_program(path)
        name = program["benchmark"]
        if name in programs:
            raise Wrong(f"{path}: {programs[name]['path']} is of "
                        f"bench-{name}, too")
        programs[name] = {"path": path, "program": program}
    # Named for people: what list it is, not where it lies.
    path = os.path.basename(given.targets)
    targets = read_targets(given.targets)
    check_known(path, targets, programs)
    skipped = {name: reason for name, _, reason in
               (text.partition(": ") for text in given.skipped)}
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "format": 1,
        "date": now.strftime("%Y-%m-%d"),
        "revision": revision(),
        "short": given.short,
        "machine": machine(programs, given.build),
        "load": given.load,
        "skipped": skipped,
        "notes": given.note,
        "targets": [decide(path, target, programs, skipped)
                    for target in targets],
        "programs": {
            name: {key: value for key, value in one["program"].items()
                   if key not in ("machine", "benchmark", "targets")}
            for name, one in programs.items()},
    }


def main():
    given = arguments()
    try:
        text = json.dumps(merge(given), indent=1, allow_nan=False) + "\n"
        if not given.out:
            sys.stdout.write(text)
            return 0
        with open(given.out, "w", encoding="utf-8") as file:
            file.write(text)
    except Wrong as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{given.out}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints "PASSED FAILED SKIPPED" for meson's testlog.json files.

A cmocka program counts as many tests as it reports, anything else as one. Those
that it skips are told too: what a machine cannot show is not passed.
"""
import json
import re
import sys


def count(test):
    text = test.get("stdout", "")
    good = len(re.findall(r"^\[       OK \] \w", text, re.M))
    bad = len(re.findall(r"^\[  FAILED  \] \w+$", text, re.M))
    # Each is said twice: in its place, and at the end.
    skipped = len(set(re.findall(r"^\[  SKIPPED \] (\w+)$", text, re.M)))
    result = test["result"]
    if result == "SKIP":
        return 0, 0, 1
    if result in ("OK", "EXPECTEDFAIL"):
        return good if skipped else max(good, 1), 0, skipped
    return good, max(bad, 1), skipped


def main():
    total = [0, 0, 0]
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as log:
            for line in log:
                for i, n in enumerate(count(json.loads(line))):
                    total[i] += n
    print(*total)


main()

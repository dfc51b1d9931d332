#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws pictures (SVG) of what merge.py made.

usage: draw.py RESULTS FOLDER

A picture whose cases were not measured is not drawn. Bars and points are
medians; the thin line across is from the least tenth to the most.
"""
import html
import json
import math
import os
import sys

WIDTH = 760
LEFT = 250   # where names end and bars begin
RIGHT = 110  # room for figures
ROW = 24
INK = "#24292f"
FAINT = "#8c959f"
GRID = "#d8dee4"
# Who it is, as a color; told apart by those who see fewer, too.
FLOOR, RONDO, PERF, PEER, OTHER = ("#9aa4ae", "#0969da", "#bf8700", "#cf222e",
                                   "#54aeff")
LINES = (FLOOR, RONDO, OTHER, PERF, PEER, "#8250df", "#1a7f37")


class Picture:
    """Elements of an SVG file, from the top down."""

    def __init__(self, title, note):
        self.elements = []
        self.height = 0
        self.text(16, 28, title, size=16, weight="bold")
        self.text(16, 48, note, color=FAINT)
        self.height = 64

    def text(self, x, y, text, color=INK, size=12, anchor="start",
             weight="normal"):
        self.elements.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size}" '
            f'text-anchor="{anchor}" font-weight="{weight}">'
            f"{html.escape(text)}</text>")

    def bar(self, x, y, width, height, color):
        self.elements.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" '
            f'height="{height:.1f}" fill="{color}"/>')

    def line(self, points, color=GRID, width=1):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.elements.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" '
            f'stroke-width="{width}"/>')

    def dot(self, x, y, color):
        self.elements.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>')

    def write(self, path, source):
        self.text(16, self.height + 22, source, color=FAINT, size=11)
        height = self.height + 36
        with open(path, "w", encoding="utf-8") as file:
            file.write(
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
                f'height="{height}" viewBox="0 0 {WIDTH} {height}" '
                'font-family="sans-serif">\n'
                f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
                + "\n".join(self.elements) + "\n</svg>\n")


def shown(number):
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 20 else f"{number:.2f}"


def steps(most):
    """Round numbers up to most, four to eight of them."""
    step = 10 ** math.floor(math.log10(most))
    for part in (0.2, 0.5, 1):
        if most / (step * part) <= 8:
            break
    count = int(most / (step * part))
    return [step * part * i for i in range(count + 1)]


class Results:
    """Cases by program and key."""

    def __init__(self, results):
        self.cases = {(name, one["key"]): one
                      for name, program in results["programs"].items()
                      for one in program["cases"]}
        machine = results["machine"]
        short = "; few repetitions" if results["short"] else ""
        self.source = (f"{machine.get('processor', 'unknown')}, "
                       f"{machine.get('cpus', '?')} CPUs, "
                       f"{machine['virtualization']}, Linux "
                       f"{machine.get('kernel', '?').split('-')[0]}; "
                       f"{results['date']}{short}")

    def value(self, program, key):
        """Its numbers, or None where it was not measured."""
        one = self.cases.get((program, key))
        if not one or not one["value"]["median"]:
            return None
        return one["value"]

    def keys(self, program, start):
        return [key for name, key in self.cases
                if name == program and key.startswith(start)]


# ---- bars ----

def whisker(picture, numbers, y, scale):
    least, most = (LEFT + numbers[key] * scale for key in ("p10", "p90"))
    # Beyond the picture there is nothing to see.
    most = min(most, WIDTH - RIGHT)
    if most - least >= 2:
        picture.line([(least, y), (most, y)], INK)


def draw_bars(picture, rows, unit):
    """rows: (name, color, numbers), a name of None goes on with the last."""
    scale = (WIDTH - LEFT - RIGHT) / max(n["median"] for _, _, n in rows)
    top = picture.height
    y = top
    for name, color, numbers in rows:
        end = LEFT + numbers["median"] * scale
        y += 8 if name is not None and y > top else 0
        if name is not None:
            picture.text(LEFT - 8, y + 14, name, anchor="end")
        picture.bar(LEFT, y + 2, end - LEFT, ROW - 8, color)
        whisker(picture, numbers, y + ROW / 2 - 2, scale)
        picture.text(max(end, min(LEFT + numbers["p90"] * scale,
                                  WIDTH - RIGHT)) + 6, y + 14,
                     f"{shown(numbers['median'])} {unit}")
        y += ROW - 4
    picture.line([(LEFT, top - 2), (LEFT, y + 2)], FAINT)
    picture.height = y + 4


def legend(picture, entries):
    x = 16
    for name, color in entries:
        picture.bar(x, picture.height - 4, 12, 12, color)
        picture.text(x + 18, picture.height + 6, name)
        x += 30 + 7 * len(name)
    picture.height += 22


COST = (
    ("floor: clock, header, 16 B", FLOOR, "record", "floor-16"),
    ("rondo, inline", RONDO, "record", "inline-16"),
    ("rondo, shared library", RONDO, "record", "call-16"),
    ("rondo, write through the .so", RONDO, "record", "call-write-16"),
    ("rondo, without rseq", OTHER, "record", "atomic-16"),
    ("perf-style, rseq", PERF, "consumer", "rseq-overwrite"),
    ("perf-style, locked, one word", PERF, "consumer", "packed-overwrite"),
    ("perf-style, locked", PERF, "consumer", "locked-overwrite"),
    ("perf's ring, in the kernel", PEER, "peers", "perf"),
    ("BPF ring buffer, in the kernel", PEER, "peers", "bpf-ringbuf"),
    ("LTTng-UST, overwrite", PEER, "peers", "lttng-overwrite"),
    ("LTTng-UST, its consumer running", PEER, "peers", "lttng-discard"),
)


def draw_cost(results):
    rows = [(name, color, results.value(program, key))
            for name, color, program, key in COST]
    rows = [row for row in rows if row[2]]
    if len(rows) < 2:
        return None
    picture = Picture("A record of 16 bytes, nobody reads",
                      "ns a record, one thread, the clock and the loop "
                      "included; less is better")
    draw_bars(picture, rows, "ns")
    return picture


CONSUMED = (
    ("rondo", "rondo", ""),
    ("perf-style, one thread", "plain", ""),
    ("perf-style, rseq", "rseq", ""),
    ("perf-style, locked, one word", "packed", ""),
    ("perf-style, locked", "locked", ""),
)


def draw_consumer(results):
    rows = []
    for name, key, _ in CONSUMED:
        alone = results.value("consumer", key)
        eager = results.value("consumer", f"{key}-eager")
        if alone and eager:
            rows += [(name, FLOOR, alone), (None, RONDO, eager)]
    if not rows:
        return None
    picture = Picture("What a consumer costs that never stops looking",
                      "ns a record of 16 B for the producer, nothing is "
                      "overwritten; less is better")
    legend(picture, (("no consumer", FLOOR),
                     ("an eager consumer on another CPU", RONDO)))
    draw_bars(picture, rows, "ns")
    return picture


# ---- lines ----

def draw_lines(picture, names, lines, unit, is_logarithmic):
    """names: along the bottom; lines: (name, color, a number for each)."""
    left, right, height = 64, WIDTH - 210, 280
    top = picture.height
    bottom = top + height
    every = [n for _, _, numbers in lines for n in numbers if n]
    if is_logarithmic:
        low, high = (10 ** math.floor(math.log10(min(every))),
                     10 ** math.ceil(math.log10(max(every))))
        marks = [10 ** i for i in range(round(math.log10(low)),
                                        round(math.log10(high)) + 1)]

        def place(number):
            return bottom - height * math.log10(number / low) / math.log10(
                high / low)
    else:
        high = max(every) * 1.1
        marks = steps(high)

        def place(number):
            return bottom - height * number / high
    for mark in marks:
        picture.line([(left, place(mark)), (right, place(mark))])
        picture.text(left - 6, place(mark) + 4, f"{mark:,.10g}", FAINT,
                     anchor="end")
    across = (right - left - 60) / max(len(names) - 1, 1)
    for i, name in enumerate(names):
        picture.text(left + 30 + i * across, bottom + 18, name,
                     anchor="middle")
    ends = []
    for name, color, numbers in lines:
        points = [(left + 30 + i * across, place(n))
                  for i, n in enumerate(numbers) if n]
        picture.line(points, color, 2)
        for x, y in points:
            picture.dot(x, y, color)
        ends.append([points[-1][1], name, color])
    label(picture, ends, right + 8, bottom)
    picture.text(left - 6, top - 14, unit, FAINT, anchor="end")
    picture.height = bottom + 26


def label(picture, ends, x, bottom):
    """Names at the lines' ends, none upon another."""
    ends.sort()
    for i in range(1, len(ends)):
        ends[i][0] = max(ends[i][0], ends[i - 1][0] + 15)
    beyond = max(ends[-1][0] - bottom, 0)
    for y, name, color in ends:
        picture.text(x, y + 4 - beyond, name, color)


TAILS = (
    ("an empty function", "empty"),
    ("floor", "floor-16"),
    ("rondo, inline", "inline-16"),
    ("rondo, shared library", "call-16"),
    ("rondo, without rseq", "atomic-16"),
    ("a record that crosses", "crossing"),
    ("refused because full", "full-16"),
)
PERCENTILES = ("p50", "p99", "p99.9", "p99.99")


def draw_tails(results):
    lines = []
    for (name, key), color in zip(TAILS, LINES):
        values = [results.value("latency", f"{key}-{p}") for p in PERCENTILES]
        if all(values):
            lines.append((name, color, [v["median"] for v in values]))
    if not lines:
        return None
    picture = Picture("A single record, and how long it takes at worst",
                      "ns between two looks at the clock, fences around, the "
                      "empty bracket included; percentiles of single calls")
    picture.height += 18
    draw_lines(picture, PERCENTILES, lines, "ns", True)
    return picture


def threads_of(key):
    return int(key.rsplit("-", 1)[1])


SCALED = (
    ("rondo, ring by CPU", "scaling", "cpu-pinned-", RONDO),
    ("rondo, ring by thread id", "scaling", "id-pinned-", OTHER),
    ("liburcu wfcqueue", "peers", "wfcqueue-", PERF),
    ("ck_ring MPSC", "peers", "ck_ring-", PEER),
    ("rte_ring MP", "peers", "rte_ring-", "#8250df"),
)


def draw_scaling(results):
    counts = sorted({threads_of(key) for _, program, start, _ in SCALED
                     for key in results.keys(program, start)})
    lines = []
    for name, program, start, color in SCALED:
        values = [results.value(program, f"{start}{n}") for n in counts]
        if any(values):
            lines.append((name, color, [v and v["median"] for v in values]))
    if not lines or len(counts) < 2:
        return None
    picture = Picture("More threads that record at once",
                      "ns a record in each thread; queues are shared, rings "
                      "are per CPU; less is better")
    picture.height += 18
    draw_lines(picture, [f"{n} thread{'s' if n > 1 else ''}" for n in counts],
               lines, "ns", False)
    return picture


SUSTAINED = (
    ("rondo, tmpfs", "rondo-memory"),
    ("LTTng-UST, tmpfs", "lttng-memory"),
    ("rondo, disk", "rondo-disk"),
    ("LTTng-UST, disk", "lttng-disk"),
)


def draw_sustained(results):
    rows = []
    for name, key in SUSTAINED:
        waits = results.value("sustained", key)
        kept = results.value("sustained", f"{key}-lossy")
        if waits and kept:
            color = RONDO if key.startswith("rondo") else PEER
            rows += [(f"{name}: waits for room", color, waits),
                     ("does not wait, kept", FLOOR, kept)]
    if not rows:
        return None
    picture = Picture("One producer without pause, into files",
                      "millions of records a second that arrive; more is "
                      "better")
    draw_bars(picture, rows, "M/s")
    return picture


DRAINED = (("memory", "tmpfs"), ("disk", "disk"),
           ("durable", "disk, synced"), ("pipe", "pipe"),
           ("unix", "unix socket"), ("tcp", "127.0.0.1"))
WAYS = (("raw", "write(2) alone", FLOOR), ("write", "write", RONDO),
        ("writer", "rondo_writer", RONDO), ("splice", "splice", OTHER),
        ("vmsplice", "vmsplice", OTHER), ("sendfile", "sendfile", OTHER),
        ("direct", "O_DIRECT", OTHER), ("uring", "io_uring", OTHER))


def draw_drain(results):
    rows = []
    for sink, name in DRAINED:
        for way, text, color in WAYS:
            numbers = results.value("drain", f"{sink}-{way}")
            if numbers:
                rows.append((f"{name}: {text}", color, numbers))
    if not rows:
        return None
    picture = Picture("Getting sub-buffers out",
                      "GB a second, sub-buffers of 1 MiB; more is better")
    legend(picture, (("bytes that nobody takes or releases", FLOOR),
                     ("take, write, release", RONDO),
                     ("take, another way, release", OTHER)))
    draw_bars(picture, rows, "GB/s")
    return picture


PICTURES = {"cost": draw_cost, "consumer": draw_consumer, "latency": draw_tails,
            "scaling": draw_scaling, "sustained": draw_sustained,
            "drain": draw_drain}


def main(words):
    if len(words) != 2:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    path, folder = words
    try:
        with open(path, encoding="utf-8") as file:
            results = Results(json.load(file))
        path = folder
        os.makedirs(folder, exist_ok=True)
        for name, draw in PICTURES.items():
            picture = draw(results)
            if picture:
                path = os.path.join(folder, f"{name}.svg")
                picture.write(path, results.source)
                print(path)
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return 1
    except (KeyError, TypeError, ValueError) as error:
        print(f"{path}: not what merge.py writes: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

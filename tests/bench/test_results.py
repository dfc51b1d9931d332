#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small results are merged, shown and drawn; wrong ones are refused by name.

usage: test_results.py SOURCE_ROOT
"""
import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(sys.argv.pop() if len(sys.argv) > 1 else ".").resolve()
BENCH = ROOT / "bench"

TARGETS = {"targets": [
    {"number": 1, "text": "one", "limit": "<= 2", "limits": [2],
     "programs": {"left": 1}},
    {"number": 2, "text": "two", "limit": ">= 3, 4", "limits": [3, 4],
     "at_least": True, "programs": {"left": 1, "right": 2}},
]}


def numbers(median, **others):
    return {"median": median, "min": median, "max": median, "p10": median,
            "p90": median, **others}


def case(key, median, base=None, unit="ns"):
    one = {"key": key, "name": f"the {key}", "unit": unit,
           "value": numbers(median)}
    if base:
        one.update(base=base, ratio=numbers(2.5))
    return one


def row(number, figure, limit, at_least=False, verdict="met", best=None):
    one = {"number": number, "text": f"row of {number}", "unit": "x",
           "value": numbers(figure), "limit": limit, "at_least": at_least,
           "verdict": verdict}
    if best:
        one.update(best=numbers(best), best_by="floor")
    return one


OUT_OF_REACH = "missed, out of reach"


LEFT = {
    "benchmark": "left", "machine": {"processor": "a <processor> & co",
                                     "cpus": 2, "kernel": "6.1.0"},
    "cases": [case("floor", 4.0), case("record", 10.0, "floor")],
    "targets": [row("1", 1.5, 2), row("2", 5, 3, True)],
}
RIGHT = {
    "benchmark": "right", "machine": {}, "cases": [case("other", 7.0)],
    "targets": [row("2", 6, 3, True), row("2", 3.5, 4, True, "missed")],
}


class Results(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.left = copy.deepcopy(LEFT)
        self.right = copy.deepcopy(RIGHT)
        self.targets = copy.deepcopy(TARGETS)

    def write(self, name, content):
        path = self.folder / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def run_script(self, script, *words):
        return subprocess.run([sys.executable, str(BENCH / script), *words],
                              text=True, capture_output=True, check=False)

    def merge(self, *options, files=("left", "right")):
        words = ["--targets", self.write("targets.json", self.targets),
                 *options]
        for name in files:
            words.append(self.write(f"{name}.json", getattr(self, name)))
        return self.run_script("merge.py", *words)

    def merged(self, *options, **files):
        run = self.merge(*options, **files)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        return json.loads(run.stdout)

    def refused(self, name, reason):
        run = self.merge()
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertIn(f"{name}.json: ", run.stderr)
        self.assertIn(reason, run.stderr)
        self.assertEqual((run.stdout, run.stderr.count("\n")), ("", 1))

    # ---- deciding ----

    def test_a_target_is_met_when_all_its_rows_are(self):
        self.assertEqual(self.merged()["targets"][0]["verdict"], "met")

    def test_a_target_is_missed_when_one_of_its_rows_is(self):
        target = self.merged()["targets"][1]
        self.assertEqual(target["verdict"], "missed")
        self.assertEqual([one["program"] for one in target["rows"]],
                         ["left", "right", "right"])

    def test_a_target_is_out_of_reach_when_all_that_it_misses_is(self):
        self.right["targets"][1] = row("2", 3.5, 4, True, OUT_OF_REACH, 3.9)
        target = self.merged()["targets"][1]
        self.assertEqual(target["verdict"], OUT_OF_REACH)
        self.right["targets"][0] = row("2", 2.5, 3, True, "missed", 3.2)
        target = self.merged()["targets"][1]
        self.assertEqual(target["verdict"], "missed")
        self.assertEqual([one["verdict"] for one in target["rows"]],
                         ["met", "missed", OUT_OF_REACH])

    def test_a_row_keeps_its_bound(self):
        self.left["targets"][0] = row("1", 1.5, 2, best=1.2)
        one = self.merged()["targets"][0]["rows"][0]
        self.assertEqual((one["best"]["median"], one["best_by"]),
                         (1.2, "floor"))

    def test_a_bound_that_was_not_measured_puts_nothing_out_of_reach(self):
        self.left["targets"][0] = row("1", 2.5, 2, verdict="missed", best=3)
        self.left["targets"][0]["best"] = numbers(None)
        self.assertEqual(self.merged()["targets"][0]["verdict"], "missed")

    def test_a_row_without_a_verdict_leaves_its_reason(self):
        self.left["targets"][0]["verdict"] = "not decided: one CPU"
        self.left["targets"][0]["value"] = numbers(None)
        target = self.merged()["targets"][0]
        self.assertEqual(target["verdict"], "not decided")
        self.assertEqual(target["rows"][0]["reason"], "one CPU")

    def test_a_program_that_was_not_run_decides_nothing(self):
        target = self.merged(files=("left",))["targets"][1]
        self.assertEqual(target["verdict"], "not decided")
        self.assertEqual(target["rows"][1]["reason"],
                         "bench-right was not run")

    def test_a_program_that_was_skipped_says_why(self):
        results = self.merged("--skipped", "right: was not built",
                              files=("left",))
        self.assertEqual(results["targets"][1]["rows"][1]["reason"],
                         "bench-right was not built")

    def test_rows_that_nobody_asked_for_count(self):
        self.right["targets"].append(row("1", 9, 2, verdict="missed"))
        self.assertEqual(self.merged()["targets"][0]["verdict"], "missed")

    def test_cases_and_machine_are_kept(self):
        results = self.merged("--build", "with care", "--short")
        self.assertEqual(results["programs"]["left"]["cases"], LEFT["cases"])
        self.assertEqual(results["machine"]["processor"],
                         "a <processor> & co")
        self.assertEqual(results["machine"]["build"], "with care")
        self.assertTrue(results["short"])
        for key in ("caches", "memory", "libc", "virtualization", "governor"):
            self.assertTrue(results["machine"][key])
        self.assertNotIn(str(ROOT), json.dumps(results))

    # ---- what is refused ----

    def test_a_file_that_is_not_there_is_named(self):
        run = self.run_script("merge.py", str(self.folder / "nowhere.json"))
        self.assertEqual(run.returncode, 1)
        self.assertIn("nowhere.json: No such file", run.stderr)

    def test_what_is_not_json_is_named(self):
        for text in ("", "{", '{"benchmark": -nan}'):
            self.write("left.json", text)
            run = self.run_script("merge.py", str(self.folder / "left.json"))
            self.assertEqual(run.returncode, 1)
            self.assertIn("left.json: not JSON", run.stderr)

    def test_json_of_another_kind_is_named(self):
        self.left = [1, 2]
        self.refused("left", "is no object")

    def test_a_member_that_is_missing_is_named(self):
        for name in ("benchmark", "machine", "cases", "targets"):
            self.left = copy.deepcopy(LEFT)
            del self.left[name]
            self.refused("left", f"has no {name}")

    def test_a_member_of_another_kind_is_named(self):
        self.left["cases"] = {"floor": 4}
        self.refused("left", "wrong kind")

    def test_a_case_without_its_least_is_refused(self):
        del self.left["cases"][1]["value"]["min"]
        self.refused("left", "record has no min")

    def test_a_figure_that_is_no_number_is_refused(self):
        self.right["cases"][0]["value"]["max"] = "7"
        self.refused("right", "max of other is no number")

    def test_infinity_is_refused(self):
        self.right["cases"][0]["value"]["max"] = float("inf")
        self.refused("right", "max of other is no number")

    def test_two_cases_of_one_name_are_refused(self):
        self.left["cases"].append(case("floor", 5.0))
        self.refused("left", "two cases are called floor")

    def test_a_comparison_with_nothing_is_refused(self):
        self.left["cases"][1]["base"] = "ceiling"
        self.refused("left", "compared with ceiling")

    def test_a_verdict_without_a_figure_is_refused(self):
        self.left["targets"][0]["value"] = numbers(None)
        self.refused("left", "met without a figure")

    def test_out_of_reach_by_no_bound_is_refused(self):
        for best, limit in ((None, 2), (1.9, 2)):
            self.left["targets"][0] = row("1", 2.5, limit, False,
                                          OUT_OF_REACH, best)
            self.refused("left", "its bound says otherwise")

    def test_a_bound_at_the_limit_is_either_since_figures_are_rounded(self):
        for verdict in ("missed", OUT_OF_REACH):
            self.left["targets"][0] = row("1", 2.5, 2, False, verdict, 2.0)
            self.assertEqual(self.merged()["targets"][0]["verdict"], verdict)

    def test_missed_although_out_of_reach_is_refused(self):
        self.left["targets"][0] = row("1", 2.5, 2, False, "missed", 2.1)
        self.refused("left", "its bound says otherwise")

    def test_a_bound_that_is_no_number_is_refused(self):
        self.left["targets"][0] = row("1", 1.5, 2, best=1.2)
        self.left["targets"][0]["best"]["median"] = "1.2"
        self.refused("left", "median of target 1 is no number")

    def test_a_softened_limit_is_refused(self):
        self.left["targets"][0]["limit"] = 2.1
        self.refused("left", "limit 2.1, in targets.json it is <= 2")

    def test_a_limit_from_the_other_side_is_refused(self):
        self.left["targets"][0]["at_least"] = True
        self.refused("left", "the other side")

    def test_a_target_that_is_on_no_list_is_refused(self):
        self.left["targets"].append(row("23", 1, 1))
        self.refused("left", "target 23 is not in")

    def test_a_program_that_keeps_silent_is_refused(self):
        self.right["targets"].pop()
        self.refused("right", "of target 2 it has 1 rows")

    def test_two_files_of_one_program_are_refused(self):
        self.right["benchmark"] = "left"
        self.refused("right", "is of bench-left, too")

    def test_a_list_of_targets_with_a_gap_is_refused(self):
        self.targets["targets"][1]["number"] = 3
        self.refused("targets", "not numbered 1 to 2")

    def test_a_target_that_nobody_decides_is_refused(self):
        self.targets["targets"][0]["programs"] = {}
        self.refused("targets", "nobody decides target 1")

    def test_what_cannot_be_written_is_named(self):
        run = self.merge("--out", str(self.folder / "no" / "out.json"))
        self.assertEqual(run.returncode, 1)
        self.assertIn("out.json: No such file", run.stderr)

    # ---- the list that is in use ----

    def test_the_list_has_22_targets_of_programs_that_exist(self):
        targets = json.loads((BENCH / "targets.json").read_text())["targets"]
        self.assertEqual([one["number"] for one in targets],
                         list(range(1, 23)))
        built = re.findall(r"^  '(\w+)': \{$",
                           (BENCH / "meson.build").read_text(), re.M)
        for target in targets:
            for name in target["programs"]:
                self.assertIn(name, built)

    # ---- showing ----

    def results(self):
        return self.write("results.json", self.merged())

    def document(self, text, option="--markdown"):
        path = self.write("page.md", text)
        return self.run_script("show.py", self.results(), option, path)

    def page(self):
        return (self.folder / "page.md").read_text(encoding="utf-8")

    def test_every_target_is_printed_with_figure_limit_and_verdict(self):
        run = self.run_script("show.py", self.results())
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertRegex(run.stdout, r"(?m)^ +1 row of 1 +1\.50 +<= 2 met$")
        self.assertRegex(run.stdout,
                         r"(?m)^ +row of 2 +3\.50 +>= 4 missed$")
        self.assertIn("2 targets: 1 met, 1 missed, 0 of these out of reach, "
                      "0 not decided", run.stdout)

    def test_what_is_out_of_reach_is_shown_with_its_bound(self):
        self.right["targets"][1] = row("2", 3.5, 4, True, OUT_OF_REACH, 3.9)
        run = self.run_script("show.py", self.results())
        self.assertRegex(run.stdout, r"(?m)^ +row of 2 +3\.50 +3\.90 +>= 4 "
                         "missed, out of reach$")
        self.assertIn("2 targets: 1 met, 1 missed, 1 of these out of reach, "
                      "0 not decided", run.stdout)
        self.document("<!-- table: targets -->\n<!-- end -->\n")
        self.assertIn("|  | row of 2 | 3.50 | 3.90 | >= 4 | **missed**, out "
                      "of reach |", self.page())

    def test_tables_of_a_document_are_renewed_and_its_words_are_not(self):
        run = self.document("# Title\n\n<!-- table: targets -->\nold\n"
                            "<!-- end -->\nwords\n"
                            "<!-- table: cases left -->\n<!-- end -->\n")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertIn("| 1 | row of 1 | 1.50 |  | <= 2 | met |", self.page())
        self.assertIn("| the record | 10.00 | 10.00 | 10.00 | ns | 2.50 |"
                      " floor |", self.page())
        self.assertIn("<!-- end -->\nwords\n", self.page())
        self.assertNotIn("old", self.page())

    def test_a_table_may_be_of_some_cases(self):
        for words, there, absent in (("rec*", "record", "floor"),
                                     ("but rec*", "floor", "record")):
            self.document(f"<!-- table: cases left {words} -->\n"
                          "<!-- end -->\n")
            self.assertIn(f"| the {there} |", self.page())
            self.assertNotIn(f"| the {absent} |", self.page())

    def test_a_renewed_document_is_renewed(self):
        text = "<!-- table: machine -->\n<!-- end -->\n"
        self.assertEqual(self.document(text, "--check").returncode, 1)
        self.document(text)
        run = self.document(self.page(), "--check")
        self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_a_table_that_does_not_end_is_refused(self):
        for text in ("<!-- table: targets -->\n", "<!-- end -->\n",
                     "<!-- table: soup -->\n<!-- end -->\n"):
            run = self.document(text)
            self.assertEqual(run.returncode, 1)
            self.assertIn("page.md: ", run.stderr)
            self.assertEqual(self.page(), text)

    def test_other_files_are_not_shown_and_not_drawn(self):
        path = self.write("other.json", {"format": 1})
        for script, words in (("show.py", ()), ("draw.py", (self.folder,))):
            run = self.run_script(script, path, *map(str, words))
            self.assertEqual(run.returncode, 1)
            self.assertIn("other.json: ", run.stderr)
            self.assertNotIn("Traceback", run.stderr)

    # ---- drawing ----

    def drawn(self):
        out = self.folder / "pictures"
        run = self.run_script("draw.py", self.results(), str(out))
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        return {path.name: xml.etree.ElementTree.parse(path)
                for path in out.glob("*")}

    def test_what_was_not_measured_is_not_drawn(self):
        self.assertEqual(self.drawn(), {})

    def test_bars_are_as_long_as_their_figures(self):
        self.targets["targets"][0]["programs"] = {"record": 1}
        self.targets["targets"][1]["programs"] = {"right": 2}
        self.left["benchmark"] = "record"
        self.left["cases"] = [case("floor-16", 4.0), case("inline-16", 10.0)]
        self.left["targets"].pop()
        picture = self.drawn()["cost.svg"]
        widths = [float(one.get("width")) for one in picture.iter()
                  if one.tag.endswith("rect")][1:]
        self.assertEqual(len(widths), 2)
        self.assertAlmostEqual(widths[0] / widths[1], 0.4, places=2)
        text = "".join(picture.getroot().itertext())
        self.assertIn("a <processor> & co", text)

    # ---- what is published ----

    def test_the_page_shows_its_results(self):
        docs = ROOT / "docs"
        run = self.run_script("show.py", str(docs / "performance.json"),
                              "--check", str(docs / "performance.md"))
        self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_its_pictures_are_of_these_results(self):
        docs = ROOT / "docs"
        out = self.folder / "pictures"
        run = self.run_script("draw.py", str(docs / "performance.json"),
                              str(out))
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        page = (docs / "performance.md").read_text(encoding="utf-8")
        self.assertEqual({path.name for path in out.glob("*")},
                         set(re.findall(r"\(pictures/([^)]+)\)", page)))
        for path in out.glob("*"):
            self.assertEqual(path.read_text(encoding="utf-8"),
                             (docs / "pictures" / path.name).read_text(
                                 encoding="utf-8"))

    def test_it_was_measured_in_full(self):
        results = json.loads((ROOT / "docs/performance.json").read_text())
        self.assertFalse(results["short"])
        self.assertEqual(len(results["targets"]), 22)

    # ---- the command ----

    def test_wrong_arguments_of_the_command_are_refused_with_its_usage(self):
        for words in (["--fast"], ["--only"], ["--only", "nothing"],
                      ["record"], ["--only", "record", "--short", "latency"]):
            run = subprocess.run(
                ["sh", str(BENCH / "run.sh"), *words], text=True,
                capture_output=True, check=False, cwd=self.folder,
                env={**os.environ, "RONDO_BUILD": str(self.folder / "build")})
            self.assertEqual(run.returncode, 2, words)
            self.assertIn("usage: ", run.stderr)
        self.assertFalse((self.folder / "build").exists())

    def test_the_command_helps(self):
        run = subprocess.run(["sh", str(BENCH / "run.sh"), "--help"],
                             text=True, capture_output=True, check=False)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertIn("--only NAME", run.stdout)

    def test_scripts_refuse_wrong_arguments_with_their_usage(self):
        for script in ("merge.py", "show.py", "draw.py"):
            run = self.run_script(script)
            self.assertEqual(run.returncode, 2)
            self.assertIn("usage: ", run.stderr)


if __name__ == "__main__":
    unittest.main()

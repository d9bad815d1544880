#!/usr/bin/env python3
"""Tries every change that cargo-mutants knows for some files with one build instead of one for each: mutants.py PACKAGE [CARGO_FLAG]... FILE...

In a copy of the tree, each changed function gets one body for each change and the choice among them by the variable MUTANT.
The tests of the package's library run once for each number and must fail. A change that does not compile, or that cannot be
chosen so (outside of functions, in a function that constants call, in one that returns an `impl Trait`), is listed as `left`.
"""
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "target/mutants/tree"
DEADLINE = 900  # seconds for one run of the tests: a loop without end is found, a busy machine is not taken for one
NO_PROGRAM = "it does not compile"
NUMBER = """
/// Which change is on.
pub(crate) fn mutant_number() -> usize {
    static NUMBER: std::sync::LazyLock<usize> =
        std::sync::LazyLock::new(|| std::env::var("MUTANT").map_or(0, |number| number.parse().expect("a number")));
    *NUMBER
}
"""


def offset(lines, place):
    return sum(map(len, lines[: place["line"] - 1])) + place["column"] - 1


def body_of(text, start, end):
    """Where the body of a function begins: behind its parameters and its return type."""
    at = text.index("(", re.compile(r"\bfn\s+\w+").search(text, start, end).end())
    depth = 0
    for at in range(at, end):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[at], 0)
        if depth == 0 and text[at] == "{":
            return at
    sys.exit(f"error: no body in {text[start:end]}")


def switched(text, mutants, frozen):
    """The text of a file with every change in it; `frozen` are the functions that must stay const."""
    lines = text.splitlines(keepends=True)
    functions = defaultdict(list)
    for mutant in mutants:
        span = mutant["function"]["span"]
        functions[offset(lines, span["start"]), offset(lines, span["end"])].append(mutant)
    for (start, end), some in sorted(functions.items(), reverse=True):
        body = body_of(text, start, end)
        head = text[start:body]
        if "const fn" in head:
            name = re.search(r"const fn\s+(\w+)", head).group(1)
            if name in frozen:
                for mutant in some:
                    mutant["left"] = "constants call it"
                continue
            head = head.replace("const fn", "fn", 1)
        arms = ""
        for mutant in some:
            first, last = (offset(lines, mutant["span"][side]) for side in ("start", "end"))
            changed = text[body:first] + mutant["replacement"] + text[last:end]
            arms += f"{mutant['number']} => /*<{mutant['number']}>*/ {changed} /*</>*/\n"
        text = text[:start] + head + "{ match crate::mutant_number() {\n" + arms + "_ => " + text[body:end] + "} }" + text[end:]
    return text


def build(package, flags, mutants):
    """Builds the tests with all changes that compile; the test program."""
    frozen = set()
    while True:
        wanted = [mutant for mutant in mutants if "left" not in mutant]
        texts = {}
        for file in {mutant["file"] for mutant in mutants}:
            some = [mutant for mutant in wanted if mutant["file"] == file]
            texts[file] = switched((ROOT / file).read_text(), some, frozen)
            (TREE / file).write_text(texts[file])
        command = ["cargo", "test", "--locked", "--lib", "--no-run", "--message-format=json", "-p", package, *flags]
        # Dependencies are taken from the usual directory; the tree's own crates have other hashes.
        done = subprocess.run(command, cwd=TREE, stdout=subprocess.PIPE, text=True)
        messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode == 0:
            return [m["executable"] for m in messages if m.get("executable") and m["profile"]["test"]][-1]
        before = (len(frozen), sum("left" in mutant for mutant in mutants))
        errors = [m["message"] for m in messages if m["reason"] == "compiler-message" and m["message"]["level"] == "error"]
        for error in errors:
            if match := re.search(r"non-const (?:associated )?function `[^`]*?(\w+)`", error["message"]):
                frozen.add(match.group(1))
            for span in error["spans"]:
                text = texts.get(span["file_name"], "")
                at = sum(map(len, text.splitlines(keepends=True)[: span["line_start"] - 1])) + span["column_start"]
                marks = re.findall(r"/\*<(\d+|/)>\*/", text[:at])
                if marks and marks[-1] != "/":
                    # Two `impl Trait` are two types: only alone would it be a program.
                    why = "another type" if "arms have incompatible types" in error["message"] else NO_PROGRAM
                    mutants[int(marks[-1]) - 1]["left"] = f"{why}: {error['message']}"
        if before == (len(frozen), sum("left" in mutant for mutant in mutants)):
            sys.exit("error: the changed tree does not compile:\n" + "".join(error["rendered"] for error in errors))


def try_all(program, package_dir, mutants, filters):
    """Runs the tests for each change; what survived."""
    survived = []
    def passes(number):
        try:
            done = subprocess.run([program, "-q", *filters], cwd=package_dir, env=os.environ | {"MUTANT": str(number)},
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            return None
        return done.returncode == 0
    if not passes(0):
        sys.exit("error: the tests fail without a change")
    for mutant in mutants:
        if "left" in mutant:
            continue
        passed = passes(mutant["number"])
        mutant["verdict"] = {True: "SURVIVED", False: "caught", None: "caught by the deadline"}[passed]
        print(f"{mutant['verdict']}: {mutant['name']}", flush=True)
        survived += [mutant] if passed else []
    return survived


def main():
    package, *rest = sys.argv[1:]
    files = [word for word in rest if word.endswith(".rs")]
    filters = [word.removeprefix("only=") for word in rest if word.startswith("only=")]
    flags = [word for word in rest if word.startswith("--")]
    listed = subprocess.run(["cargo", "mutants", "--list", "--json", "-p", package, *(x for file in files for x in ("-f", file))],
                            cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    mutants = json.loads(listed.stdout)
    for number, mutant in enumerate(mutants, 1):
        mutant["number"] = number
        # cargo-mutants does not see through our alias for a result without a value.
        if mutant["function"] and (mutant["function"]["return_type"], mutant["replacement"]) == ("-> Verdict", "Default::default()"):
            mutant["replacement"] = "Ok(())"
            mutant["name"] = mutant["name"].replace("Default::default()", "Ok(())")
        if mutant["function"] is None:
            mutant["left"] = "outside of functions"
    shutil.rmtree(TREE, ignore_errors=True)
    ignore = shutil.ignore_patterns("target", ".git", "corpus", "artifacts")
    shutil.copytree(ROOT, TREE, ignore=ignore, symlinks=True)
    os.environ["CARGO_TARGET_DIR"] = str(ROOT / "target")
    meta = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version=1"], cwd=TREE, stdout=subprocess.PIPE, text=True, check=True)
    manifest = next(p["manifest_path"] for p in json.loads(meta.stdout)["packages"] if p["name"] == package)
    library = Path(manifest).parent / "src/lib.rs"
    library.write_text("#![allow(warnings)]\n" + library.read_text() + NUMBER)
    program = build(package, flags, mutants)
    survived = try_all(program, Path(manifest).parent, mutants, filters)
    left = [mutant for mutant in mutants if "left" in mutant]
    for mutant in left:
        print(f"left: {mutant['name']}: {mutant['left']}")
    none = sum(mutant["left"].startswith(NO_PROGRAM) for mutant in left)
    print(f"{package}: {len(mutants)} changes, {len(mutants) - len(left) - len(survived)} caught, {len(survived)} survived,"
          f" {none} are no program, {len(left) - none} not tried")
    sys.exit(1 if survived else 0)


main()

#!/usr/bin/env python3
"""Tries the planted bugs of tests/cuda/mutants.py: each must be found by the check that is named there.

    tests/cuda/mutations.py build/release [WORDS...]     only bugs whose name holds one of the words

The folder must hold chiasm_cuda_check, chiasm_cuda_check_address and chiasm_cuda_check_thread, made by
ninja. For a bug, one kernel or source is compiled anew and linked to the rest of the emulated plug-in. First the
cases that find bugs are run without any: they must pass, and sanitizers must have nothing to say.
"""

import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

from mutants import MUTANTS, Mutant

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZER = {"numbers": "", "refused": "", "stuck": "", "address": "_address", "thread": "_thread"}
FOUND = {
    "numbers": re.compile(r"^FAILED .*(too large|other bits)", re.M),
    "refused": re.compile(r"^FAILED .*(library attention:|another provider made it)", re.M),
    "stuck": re.compile(r"^emulated device: .*(never reach|different collectives)", re.M),
    "address": re.compile(r"ERROR: AddressSanitizer"),
    "thread": re.compile(r"WARNING: ThreadSanitizer: data race"),
}
LIMIT = 300  # seconds of a run


def headers_of(file: pathlib.Path) -> set[str]:
    """Headers of kernels/cuda that `file` includes, themselves or through others."""
    out: set[str] = set()
    for name in re.findall(r'#include "kernels/cuda/(\w+\.h)"', file.read_text()):
        out |= {name} | headers_of(ROOT / "kernels/cuda" / name)
    return out


class Plugin:
    """One kind of the emulated plug-in: how its kernels are compiled, and how it is linked."""

    def __init__(self, build: pathlib.Path, suffix: str) -> None:
        self.build = build
        self.suffix = suffix
        self.file = f"kernels/cuda/emulation/libchiasm_cuda_emulation{suffix}.so"
        listed = subprocess.run(
            ["ninja", "-t", "commands", self.file], cwd=build, check=True, capture_output=True, text=True
        )
        lines = listed.stdout.splitlines()
        self.compile = {}
        for line in lines:
            if match := re.search(r" -o (\S+) -c \S+/kernels/cuda/(\w+\.(?:cu|cpp))$", line):
                self.compile[match[2]] = (match[1], shlex.split(line))
        self.link = [word for word in shlex.split(lines[-1]) if word not in (":", "&&")]

    def program(self) -> str:
        return str(self.build / f"tests/cuda/chiasm_cuda_check{self.suffix}")

    def run(self, plugin: pathlib.Path, case: str) -> tuple[int, str]:
        environment = os.environ | {
            "CHIASM_CUDA_PLUGIN": str(plugin),
            "ASAN_OPTIONS": "detect_leaks=0",
            # The CPU's own kernels and its threads are not instrumented here.
            "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:halt_on_error=1",
        }
        ran = subprocess.run(
            [self.program(), case], env=environment, capture_output=True, text=True, timeout=LIMIT
        )
        return ran.returncode, ran.stdout + ran.stderr

    def compile_one(
        self, command: list[str], source: pathlib.Path, folder: pathlib.Path, to: str
    ) -> None:
        """`source` as `command` compiles another, with headers of `folder` before the tree's."""
        words = [w for i, w in enumerate(command) if w != "-MD" and not {"-MT", "-MF"} & {w, command[i - 1]}]
        words[words.index(f"-I{ROOT}")] = f"-I{folder}"
        words[words.index("-c") :] = [f"-I{ROOT}", "-O1", "-w", "-c", str(source)]
        words[words.index("-o") + 1] = to
        subprocess.run(words, cwd=self.build, check=True)

    def with_bug(self, mutant: Mutant, folder: pathlib.Path) -> pathlib.Path:
        """The plug-in with this bug, made in `folder`."""
        source = (ROOT / "kernels/cuda" / mutant.file).read_text()
        if (times := source.count(mutant.old)) != 1:
            raise ValueError(f"kernels/cuda/{mutant.file} holds {times} times, not once:\n{mutant.old}")
        changed = folder / "kernels/cuda" / mutant.file
        changed.parent.mkdir(parents=True, exist_ok=True)
        changed.write_text(source.replace(mutant.old, mutant.new))
        objects = {}
        for kernel, (old_object, command) in self.compile.items():
            path = ROOT / "kernels/cuda" / kernel
            if kernel == mutant.file:
                path = changed
            elif mutant.file not in headers_of(path):
                continue
            objects[old_object] = str(folder / (kernel + self.suffix + ".o"))
            self.compile_one(command, path, folder, objects[old_object])
        plugin = folder / f"plugin{self.suffix}.so"
        link = [objects.get(word, word) for word in self.link]
        link[link.index("-o") + 1] = str(plugin)
        subprocess.run(link, cwd=self.build, check=True)
        return plugin


def attempt(plugins: dict[str, Plugin], build: pathlib.Path, mutant: Mutant) -> str:
    """What is wrong; empty where the bug was found."""
    folder = build / "mutants" / re.sub(r"\W+", "_", mutant.name)
    plugin = plugins[SANITIZER[mutant.found_by]]
    try:
        code, said = plugin.run(plugin.with_bug(mutant, folder), mutant.case)
    except (ValueError, subprocess.SubprocessError) as error:
        return str(error)
    if code == 0 or not FOUND[mutant.found_by].search(said):
        return f"not found by {mutant.found_by}; exit code {code}:\n" + said[-1500:]
    return ""


def clean(plugin: Plugin, case: str) -> str:
    """What a run without bugs has to say; empty where it passes."""
    try:
        code, said = plugin.run(plugin.build / plugin.file, case)
    except subprocess.SubprocessError as error:
        return str(error)
    bad = code != 0 or any(pattern.search(said) for pattern in FOUND.values())
    return f"exit code {code}:\n{said[-3000:]}" if bad else ""


def main() -> int:
    build, words = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    plugins = {suffix: Plugin(build, suffix) for suffix in sorted(set(SANITIZER.values()))}
    cases = sorted({(SANITIZER[m.found_by], m.case) for m in chosen})
    jobs = [(f"no bug{s.replace('_', ', ')}: {case}", clean, (plugins[s], case)) for s, case in cases]
    jobs += [(f"{m.name} ({m.found_by})", attempt, (plugins, build, m)) for m in chosen]
    began, failed = time.monotonic(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [(name, pool.submit(function, *arguments)) for name, function, arguments in jobs]
        for name, job in running:
            wrong = job.result()
            failed += bool(wrong)
            print(f"{'FAILED' if wrong else 'ok':6} {name}" + (f"\n{wrong}" if wrong else ""), flush=True)
    print(
        f"{len(chosen)} planted bugs and {len(cases)} runs without one: {failed} failed, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())

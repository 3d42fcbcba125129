#!/usr/bin/env python3
"""Registers and shared memory of the device's kernels, beside the table kernels/cuda/registers.tsv.

    tests/cuda/registers.py            compares; the exit code is 1 for what is not as it was, or spills
    tests/cuda/registers.py --write    writes the table anew

Every kernel is compiled for sm_80, sm_90a and sm_100 with the nvcc on PATH, else that of
/usr/local/cuda; without one nothing is compared, which is said. A spilled register fails under any nvcc.
Figures belong to the release of nvcc that the table names: under another one spills alone are looked
at. Under the same one, registers may differ by TOLERANCE, as neighbouring code moves them; shared memory
may not differ at all.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "kernels/cuda/registers.tsv"
TARGETS = ("80", "90a", "100")
TOLERANCE = 8  # what a multiprocessor hands out registers by: 8 for each thread of a warp
RENEW = "if it is meant to be so: tests/cuda/registers.py --write"

Key = tuple[str, str]  # kernel, target
Figures = tuple[int, int, int]  # registers, bytes of static shared memory, bytes spilled

ENTRY = re.compile(
    r"Compiling entry function '(\w+)' for 'sm_(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
    r".*?Used (\d+) registers([^\n]*)",
    re.S,
)


def find_nvcc() -> str | None:
    return shutil.which("nvcc", path=os.environ.get("PATH", "") + ":/usr/local/cuda/bin")


def release(nvcc: str) -> str:
    said = subprocess.run([nvcc, "--version"], check=True, capture_output=True, text=True).stdout
    return re.search(r"release (\S+),", said)[1]


def readable(names: list[str]) -> list[str]:
    """Mangled names as in the source, without namespaces, results and arguments."""
    said = subprocess.run(["c++filt", *names], check=True, capture_output=True, text=True).stdout
    out = []
    for line in said.splitlines():
        name = re.sub(r"\w+::", "", line.replace("(anonymous namespace)::", ""))
        name, depth = name.removeprefix("void "), 0
        for i, letter in enumerate(name):  # up to the arguments, which follow what is in brackets
            depth += (letter == "<") - (letter == ">")
            if letter == "(" and depth == 0:
                name = name[:i]
                break
        out.append(name.replace("unsigned short", "bf16"))
    return out


def measure(nvcc: str, file: pathlib.Path) -> dict[Key, Figures]:
    targets = [word for t in TARGETS for word in ("-gencode", f"arch=compute_{t},code=sm_{t}")]
    with tempfile.TemporaryDirectory() as folder:
        command = [nvcc, "-std=c++20", "-O3", "-Xptxas", "-v", f"-I{ROOT}", *targets, "-fatbin"]
        ran = subprocess.run(
            [*command, str(file), "-o", f"{folder}/x.fatbin"], capture_output=True, text=True
        )
    if ran.returncode != 0:
        raise SystemExit(f"{file} does not compile:\n{ran.stderr}")
    found = ENTRY.findall(ran.stderr)
    out = {}
    for name, entry in zip(readable([e[0] for e in found]), found, strict=True):
        _, target, stores, loads, registers, rest = entry
        shared = re.search(r"(\d+) bytes smem", rest)
        key = (f"{file.name} {name}", f"sm_{target}")
        if key in out:
            raise SystemExit(f"two kernels are called {key}")
        out[key] = (int(registers), int(shared[1]) if shared else 0, int(stores) + int(loads))
    return out


def measure_all(nvcc: str) -> dict[Key, Figures]:
    listed = (ROOT / "kernels/cuda/sources.cmake").read_text()
    files = [ROOT / "kernels/cuda" / name for name in re.findall(r"\w+\.cu", listed)]
    figures: dict[Key, Figures] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(lambda file: measure(nvcc, file), files):
            figures |= part
    return figures


def read_table() -> tuple[str, dict[Key, Figures]]:
    head, _, *lines = TABLE.read_text().splitlines()
    rows = {}
    for line in lines:
        kernel, target, *numbers = line.split("\t")
        registers, shared, spilled = (int(n) for n in numbers)
        rows[kernel, target] = (registers, shared, spilled)
    return head.removeprefix("# nvcc "), rows


def write_table(nvcc: str, figures: dict[Key, Figures]) -> None:
    lines = [f"# nvcc {release(nvcc)}", "kernel\ttarget\tregisters\tstatic shared bytes\tspilled bytes"]
    lines += ["\t".join([*key, *map(str, row)]) for key, row in sorted(figures.items())]
    TABLE.write_text("\n".join(lines) + "\n")
    print(f"{TABLE.relative_to(ROOT)}: {len(figures)} rows")


def differences(want: dict[Key, Figures], got: dict[Key, Figures]) -> list[str]:
    out = []
    for key in sorted(want.keys() | got.keys()):
        name = " for ".join(key)
        if key not in got:
            out.append(f"- {name}: gone")
        elif key not in want:
            out.append(f"+ {name}: new, registers {got[key][0]}, shared {got[key][1]}")
        else:
            (registers, shared, _), (registers_now, shared_now, _) = want[key], got[key]
            if abs(registers_now - registers) > TOLERANCE:
                out.append(f"  {name}: registers {registers} -> {registers_now}")
            if shared_now != shared:
                out.append(f"  {name}: static shared bytes {shared} -> {shared_now}")
    return out


def main() -> int:
    nvcc = find_nvcc()
    if nvcc is None:
        print("registers: there is no nvcc here; nothing was compared")
        return 0
    figures = measure_all(nvcc)
    if "--write" in sys.argv[1:]:
        write_table(nvcc, figures)
    wrong = [
        f"  {' for '.join(key)}: {row[2]} bytes are spilled" for key, row in figures.items() if row[2] > 0
    ]
    of_release, table = read_table() if TABLE.exists() else ("none", {})
    if of_release == release(nvcc):
        wrong += differences(table, figures)
    else:
        print(f"registers: the table is of nvcc {of_release}, this is {release(nvcc)}: spills alone count")
    most = max(figures, key=lambda key: figures[key][0])
    print(
        f"registers: {len(figures)} kernels and targets, {figures[most][0]} registers at most "
        f"({' for '.join(most)})"
    )
    if wrong:
        print("\n".join([*wrong, f"{len(wrong)} differences; {RENEW}"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The house stays tidy: short files, no cycles, a page for every room, nothing of one machine."""

import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = ["core", "kernels", "vision", "audio", "projector", "language", "runtime", "python"]
CODE = {".h", ".cpp", ".cu", ".cuh", ".py", ".sh", ".cmake"}
MAX_LINES = 500
GENERATED = re.compile(r"(^|/)tests/golden/|_tables?\.inc$|_tables\.cpp$|\.pyi$")


@functools.cache
def tracked() -> tuple[str, ...]:
    """Files of the working tree: what git tracks, or every file where there is no git."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.splitlines()
    else:
        names = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()]
    return tuple(n for n in names if (ROOT / n).is_file() and not n.startswith("build"))


def code_files() -> list[str]:
    return [n for n in tracked() if pathlib.Path(n).suffix in CODE and not GENERATED.search(n)]


def rooms() -> list[str]:
    return [room for room in ROOMS if any(n.startswith(room + "/") for n in code_files())]


def test_files_are_short():
    lengths = {name: (ROOT / name).read_text().count("\n") for name in code_files()}
    long = {name: count for name, count in lengths.items() if count > MAX_LINES}
    assert not long, f"over {MAX_LINES} lines, so hold more than one idea: {long}"


def test_every_room_has_a_page():
    missing = [room for room in rooms() if not (ROOT / "docs" / f"{room}.md").exists()]
    assert not missing, f"write docs/<room>.md for {missing}"


def test_links_between_pages_lead_somewhere():
    broken = []
    for name in tracked():
        if name.endswith(".md"):
            for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (ROOT / name).read_text()):
                if "://" not in link and not link.startswith("mailto:"):
                    if not ((ROOT / name).parent / link).exists():
                        broken.append(f"{name} -> {link}")
    assert not broken, broken


def find_cycle(edges: dict[str, set[str]]) -> list[str]:
    """Names along a cycle of the graph, or an empty list."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return path[path.index(node) :] + [node]
        if node in done:
            return []
        for target in sorted(edges.get(node, ())):
            if cycle := walk(target, path + [node]):
                return cycle
        done.add(node)
        return []

    for start in sorted(edges):
        if cycle := walk(start, []):
            return cycle
    return []


def includes(name: str) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*"([^"]+)"', (ROOT / name).read_text(), re.M)


def test_no_cycles_between_folders():
    """Folders inside rooms count: kernels/cpu and kernels/reference may not need each other."""
    edges: dict[str, set[str]] = {}
    for name in code_files():
        if name.split("/")[0] in ROOMS:
            here = name.rsplit("/", 1)[0]
            targets = {t.rsplit("/", 1)[0] for t in includes(name) if "/" in t}
            edges.setdefault(here, set()).update(targets - {here})
    # A folder and the room around it are one thing seen from outside: kernels/matrix.cpp is the door
    # that calls kernels/cpu, which reads the plain structs beside the door.
    for here in edges:
        edges[here] = {t for t in edges[here] if not here.startswith(t + "/")}
    assert not (cycle := find_cycle(edges)), " -> ".join(cycle)


def test_no_cycles_between_headers():
    headers = {n: set(includes(n)) for n in code_files() if n.endswith((".h", ".cuh"))}
    assert not (cycle := find_cycle(headers)), " -> ".join(cycle)


def test_the_cycle_finder_finds_cycles():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert find_cycle({"a": {"a"}}) == ["a", "a"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_headers_guard_themselves():
    bare = [n for n in code_files() if n.endswith(".h") and "#pragma once" not in (ROOT / n).read_text()]
    assert not bare, bare


def test_no_left_over_work():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    this = pathlib.Path(__file__).name
    found = [n for n in code_files() if not n.endswith(this) and marks.search((ROOT / n).read_text())]
    assert not found, found


def test_the_library_never_prints_or_exits():
    ends = re.compile(r"\b(printf|puts|abort|exit|_exit)\s*\(|std::c(out|err)\b")
    wrong = []
    for name in code_files():
        if name.split("/")[0] in ROOMS[:-1] and name.endswith((".h", ".cpp", ".cu")):
            code = re.sub(r'//[^\n]*|"(?:\\.|[^"\\\n])*"', "", (ROOT / name).read_text())
            wrong += [f"{name}: {m.group(0)}" for m in ends.finditer(code)]
    assert not wrong, wrong

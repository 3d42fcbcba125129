"""Writes language/unicode_tables.inc by asking the `tokenizers` library about every code point.

The library carries three versions of Unicode: its regex engine's (general categories, \\w, \\s),
Rust's own (char::is_numeric, to_lowercase) and its normalizer's (an older one). PCRE2 and
libutf8proc of the system carry others. What the library does is the truth here, so the tables are
probed from it, not copied from any Unicode release.

Needs: tokenizers 0.23.3, libutf8proc (2.8.0 was used).
Run:   python tests/reference/make_unicode_tables.py
"""
import base64
import ctypes
import json
import pathlib
import struct

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp "
              "Cc Cf Co Cn").split()
SCRIPTS = ["Han", "Hiragana", "Katakana", "Hangul"]
BATCH = 0x4000
POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def batches(points, size=BATCH):
    return (points[i:i + size] for i in range(0, len(points), size))


def matched_by(pattern):
    """Code points that a regular expression for one character matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    found = set()
    for batch in batches(POINTS):
        for piece, _ in split.pre_tokenize_str("".join(map(chr, batch))):
            found.update(map(ord, piece))
    return found


def numeric():
    """Code points that Digits splits off: Rust's char::is_numeric."""
    split = pre_tokenizers.Digits(individual_digits=True)
    found = set()
    for batch in batches(POINTS):
        for piece, _ in split.pre_tokenize_str("".join("a" + chr(c) for c in batch)):
            if len(piece) == 1 and piece != "a":
                found.add(ord(piece))
    return found


def regex_crate_word():
    """Code points of \\w in the `regex` crate, which Whitespace and `single_word` use."""
    split = pre_tokenizers.Whitespace()
    found = set()
    for batch in batches(POINTS):
        for piece, _ in split.pre_tokenize_str(" ".join("." + chr(c) for c in batch)):
            if piece[0] != ".":
                found.add(ord(piece[0]))
    return found


def bert_removed():
    """Code points that BertNormalizer's clean_text takes out of a text."""
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False,
                                       strip_accents=False, lowercase=False)
    return {c for c in POINTS if clean.normalize_str(f"a{chr(c)}b") == "ab"}


def bert_accents():
    """Code points that BertNormalizer's strip_accents takes out of a decomposed text."""
    strip = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False,
                                       strip_accents=True, lowercase=False)
    return {c for c in POINTS if strip.normalize_str(f"a{chr(c)}b") == "ab"}


def bert_punctuation():
    """Code points that BertPreTokenizer makes words of their own."""
    split = pre_tokenizers.BertPreTokenizer()
    return {c for c in POINTS if len(split.pre_tokenize_str(f"a{chr(c)}b")) == 3}


def grapheme_joins(system):
    """Code points that go on with the cluster before them, and start a new one to libutf8proc. A
    normalizer whose table replaces "x" replaces the whole cluster that begins with it."""
    units = [0] * 0x800
    first, leaf = 0x100 ^ ord("x"), 0x200
    units[0], units[leaf] = 0x100 << 10, 1 << 31
    units[first] = (first ^ leaf) << 10 | 1 << 8 | ord("x")
    table = struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + b"Y\0"
    value = json.loads(tokenizers.Tokenizer(tokenizers.models.BPE()).to_str())
    value["normalizer"] = {"type": "Precompiled",
                           "precompiled_charsmap": base64.b64encode(table).decode()}
    run = tokenizers.Tokenizer.from_str(json.dumps(value)).normalizer.normalize_str
    return {c for c in POINTS if c and run("x" + chr(c)) == "Y" and system.breaks(ord("x"), c)}


class Utf8proc:
    """The properties that the C++ side takes from libutf8proc."""

    class Property(ctypes.Structure):
        _fields_ = [("category", ctypes.c_int16), ("combining_class", ctypes.c_int16)]

    def __init__(self):
        self.lib = ctypes.CDLL("libutf8proc.so.2")
        self.lib.utf8proc_get_property.restype = ctypes.POINTER(self.Property)
        self.lib.utf8proc_version.restype = ctypes.c_char_p
        self.lib.utf8proc_grapheme_break.restype = ctypes.c_bool
        for form in ("NFD", "NFKD", "NFC", "NFKC"):
            getattr(self.lib, "utf8proc_" + form).restype = ctypes.c_void_p

    def combining_class(self, c):
        return self.lib.utf8proc_get_property(c).contents.combining_class

    def normalize(self, form, text):
        return ctypes.string_at(getattr(self.lib, "utf8proc_" + form)(text.encode())).decode()

    def breaks(self, before, c):
        return self.lib.utf8proc_grapheme_break(before, c)

    def lower(self, c):
        return chr(self.lib.utf8proc_tolower(c))


def inert(system):
    """Code points that the library's normalizer does not know: to it they are plain starters."""
    points = [c for c in POINTS if c]
    found = set()
    forms = {"NFD": normalizers.NFD(), "NFKD": normalizers.NFKD()}
    nfd = forms["NFD"].normalize_str
    for form, library in forms.items():
        for c in points:
            ours, theirs = system.normalize(form, chr(c)), library.normalize_str(chr(c))
            if ours != theirs:
                assert theirs == chr(c), hex(c)
                found.add(c)
                if form == "NFD":  # its parts must not compose either
                    assert normalizers.NFC().normalize_str(ours) == ours
                    found.update(map(ord, ours))
    marks = [c for c in points if system.combining_class(c) and nfd(chr(c)) == chr(c)]
    for c in marks:
        # A mark the library knows changes places with a mark of a lower or higher class.
        pairs = [(chr(c) + "\u0334", "\u0334" + chr(c)), ("\u0345" + chr(c), chr(c) + "\u0345")]
        moved = [nfd("a" + before) == "a" + after for before, after in pairs]
        if not any(moved):
            found.add(c)
    known = [c for c in marks if c not in found]
    by_class = {}
    for c in known:
        by_class.setdefault(system.combining_class(c), c)
    for c in known:  # the classes agree where both know the mark
        for value, other in by_class.items():
            swaps = nfd("a" + chr(c) + chr(other)) == "a" + chr(other) + chr(c) and c != other
            assert swaps == (system.combining_class(c) > value), (hex(c), hex(other))
    for c in points:
        if not system.combining_class(c):
            assert nfd("a\u0301" + chr(c) + "\u0334") != "a\u0334\u0301" + chr(c), hex(c)
    return found


def ranges(points):
    result = []
    for c in sorted(points):
        if result and c == result[-1][1] + 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def array(out, type_name, name, comment, items):
    out.append(f"\n// {comment}\nconstexpr {type_name} {name}[] = {{")
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 100:
            out.append(line)
            line = "   "
        line += f" {item},"
    out.append(line + "\n};")


def range_items(points):
    return [f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(points)]


def main():
    system = Utf8proc()
    category = {}
    for index, name in enumerate(CATEGORIES):
        for c in matched_by(r"\p{%s}" % name):
            assert c not in category
            category[c] = index
    for c in range(0xD800, 0xE000):
        category[c] = CATEGORIES.index("Cn")
    runs = [c for c in range(0x110000) if c == 0 or category[c] != category[c - 1]]
    word = {c for c in POINTS if CATEGORIES[category[c]][0] in "LM"
            or CATEGORIES[category[c]] in ("Nd", "Nl", "Pc")}
    number = {c for c in POINTS if CATEGORIES[category[c]][0] == "N"}

    def of_category(*prefixes):
        return {c for c in POINTS if CATEGORIES[category[c]].startswith(prefixes)}

    lower = normalizers.Lowercase()
    changed = [(c, lower.normalize_str(chr(c))) for c in POINTS if c]
    changed = [(c, s) for c, s in changed if s != system.lower(c)]
    # U+0130 becomes two characters and is handled by name; the rest are one to one.
    assert [c for c, s in changed if len(s) > 1] == [0x130]

    version = system.lib.utf8proc_version().decode()
    out = ["// Written by tests/reference/make_unicode_tables.py: do not edit. Probed from",
           f"// tokenizers {tokenizers.__version__}, compared with libutf8proc {version}.",
           "// clang-format off"]
    array(out, "std::uint32_t", "kCategoryRuns",
          "First code point of each run << 5 | index of its general category in kCategoryNames.",
          [f"0x{c << 5 | category[c]:X}" for c in runs])
    array(out, "CodePointRange", "kWhiteSpace", r"\s, the same in the regex engine and in Rust.",
          range_items(matched_by(r"\s")))
    array(out, "CodePointRange", "kWordChanges",
          r"Where \w outside of a class differs from L, M, Nd, Nl, Pc in the regex engine.",
          range_items(matched_by(r"\w") ^ word))
    array(out, "CodePointRange", "kClassWordChanges", r"The same for [\w].",
          range_items(matched_by(r"[\w]") ^ word))
    array(out, "CodePointRange", "kCrateWordChanges",
          r"Where \w of Rust's regex crate differs from L, M, Nd, Nl, Pc.",
          range_items(regex_crate_word() ^ word))
    array(out, "CodePointRange", "kNumericChanges",
          "Where Rust's char::is_numeric differs from N.", range_items(numeric() ^ number))
    array(out, "CodePointRange", "kBertRemovedChanges",
          "Where what BertNormalizer's clean_text removes differs from Cc, Cf, Co.",
          range_items(bert_removed() ^ of_category("Cc", "Cf", "Co")))
    array(out, "CodePointRange", "kBertAccentChanges",
          "Where what its strip_accents removes differs from Mn.",
          range_items(bert_accents() ^ of_category("Mn")))
    array(out, "CodePointRange", "kBertPunctuationChanges",
          "Where what BertPreTokenizer splits off differs from P.",
          range_items(bert_punctuation() ^ of_category("P")))
    array(out, "CodePointRange", "kGraphemeJoins",
          "Code points that go on with a grapheme cluster, unknown to libutf8proc.",
          range_items(grapheme_joins(system)))
    for script in SCRIPTS:
        array(out, "CodePointRange", f"k{script}", rf"\p{{{script}}}.",
              range_items(matched_by(r"\p{%s}" % script)))
    array(out, "CodePointRange", "kNormalizerUnknown",
          "Code points that libutf8proc normalizes and the library leaves alone.",
          range_items(inert(system)))
    array(out, "CodePointRange", "kLowercaseChanges",
          "Code point and lower case, where libutf8proc gives another; U+0130 apart.",
          [f"{{0x{c:X}, 0x{ord(s):X}}}" for c, s in changed if len(s) == 1])
    path = pathlib.Path(__file__).parents[2] / "language/unicode_tables.inc"
    path.write_text("\n".join(out) + "\n")
    print(path, len(runs), "runs", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()

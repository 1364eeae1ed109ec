"""Docstrings, comments and messages are plain English: a list of patterns that are not."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("data", "evaluation", "metrics", "models", "pretrained", "synthesis", "training")
FILES = [
    *(path for room in ROOMS for path in sorted((ROOT / "bassdiff" / room).rglob("*.py"))),
    *sorted((ROOT / "configs").glob("*.py")),
    *sorted((ROOT / "bassdiff" / "docs").glob("*.md")),
]
# By what to write instead.
BANNED = {
    'write "is not a"': r"(?<![Tt]here )\b(is|are|was|were) no (?!longer|(more|less) than|fewer)\w",
    "name the actor": r"\b(whoever|whomever|nobody|whatever|wherever|whichever)\b",
    "begin with the subject": r'(?:^(?:""")?|[.;:!?] )(Of|So) (?=[a-z])',
    "name the number": r"\bso many (?!that)",
    "state it": r'^"""[^.]+\?$',
    "begin with the noun": (
        r'(?:^(?:""")?|[.;] )What (is|are|was|were|it|they|one|the|a|an|all|some|many)\b'
    ),
    "write it as today": r"\b(anew|gladly|thereby|henceforth|for ever|begun again|of old|as yet)\b",
    'write "continue" or "resume"': r"\b(go|goes|went|going) on\b",
}


def sentences(path):
    """(line, text) of everything in a file that people read."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        prose = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), text, flags=re.S)
        yield from enumerate(prose.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and (docstring := ast.get_docstring(node)):
            yield node.body[0].lineno, '"""' + docstring.splitlines()[0]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for number, line in enumerate(node.value.splitlines(), node.lineno):
                yield number, line.strip()


def faults(path):
    return [
        f"{path.name}:{number}: {advice}: {text[:80]}"
        for number, text in sentences(path)
        for advice, pattern in BANNED.items()
        if re.search(pattern, text)
    ]


def test_there_is_something_to_read():
    assert len(FILES) > 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_prose_is_plain(path):
    assert faults(path) == []


@pytest.mark.parametrize(
    "text",
    [
        '"""Of each song, its bass."""',
        '"""Where is the bass?"""',
        "# What is left is noise.",
        "# Begin: whoever reads it must know.",
        'raise ValueError("x is no number")',
        "# The run goes on.",
        "# It is made anew.",
        "# Waits for so many seconds.",
    ],
)
def test_a_fault_is_found(tmp_path, text):
    path = tmp_path / "example.py"
    path.write_text(f"{text}\n")
    assert faults(path)

"""Words that read as a translation, or that MMDetection spells otherwise, stay out of the prose."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Whole words or phrases, and what to write instead.
AVOID = {
    r'mend(s|ed|ing)?': 'fix',
    r'is there already|are there already': 'already exists',
    r'stands? twice': 'is duplicated',
    r'stands? alone': 'has no group',
    r'is no (number|text|list|COCO file|mapping|file|checkpoint|taxonomy)': 'is not a ...',
    r'which else': 'which otherwise',
    r'lays? over': 'merge',
    r'beside': 'next to, besides',
    r'in place of': 'instead of',
    r'whole or not at all': 'atomically',
    r'(in|by) a process of its own|in processes of their own': 'in a separate process',
    r'go(es)? on (from|with|exactly|counting)': 'continue',
    r'without a word': 'silently',
    r'\d+(?= %)': '5%, without a blank',
    r'anew': 'again',
    r'of use': 'useful',
    r'strangers?': 'unknown ...',
    r'hand(s|ed)? over': 'pass',
    r'of (his|its) own accord': 'by itself',
    r'colou?rs? carry': 'colors show',
    r'\w*colour\w*': 'color',
    r'behaviour\w*': 'behavior',
    r'(normalis|optimis|initialis|summaris|serialis|recognis|organis|visualis)\w*': '-ize',
    r'analys(e|ed|es)(?=\s+(the|a|an|errors|runs)\b)': 'analyze',
    r'labell(ed|ing)': 'labeled',
    r'neighbour\w*': 'neighbor',
    r'centres?': 'center',
    r'grey\w*': 'gray',
    r'afterwards|towards': 'afterward, toward',
    r'whilst|amongst': 'while, among',
}
PATTERN = re.compile('|'.join(rf'(?:\b(?:{words})\b)' for words in AVOID), re.IGNORECASE)


def prose_of_python(text: str) -> list[tuple[int, str]]:
    """Line and text of each comment and string; code in backticks and braces is taken out."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.string.strip('\'"').isidentifier():
            continue  # a key or a name
        if token.type in (tokenize.COMMENT, tokenize.STRING) or (
            tokenize.tok_name[token.type] == 'FSTRING_MIDDLE'
        ):
            for offset, line in enumerate(token.string.splitlines()):
                found.append((token.start[0] + offset, without_code(line)))
    return found


def without_code(line: str) -> str:
    return re.sub(r'`[^`]*`|\{[^{}]*\}', '', line)


def prose_of_markdown(text: str) -> list[tuple[int, str]]:
    """Line and text outside fenced code."""
    found, fenced = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith('```'):
            fenced = not fenced
        elif not fenced:
            found.append((number, without_code(line)))
    return found


def complaints(name: str, text: str) -> list[str]:
    """One line for each word to avoid."""
    prose = prose_of_python(text) if name.endswith('.py') else prose_of_markdown(text)
    return [
        f'{name}:{number}: {match[0]!r}'
        for number, line in prose
        for match in PATTERN.finditer(line)
    ]


def tracked() -> list[str]:
    listed = subprocess.run(
        ['git', '-C', str(ROOT), 'ls-files', '*.py', '*.md', '*.j2', '*.sh', '*.yaml'],
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip('not a git checkout')
    return [name for name in listed.stdout.split() if name != 'tests/test_prose.py']


def test_prose_is_plain():
    found = [
        line for name in tracked() for line in complaints(name, (ROOT / name).read_text('utf-8'))
    ]
    assert not found, '\n'.join(found)


@pytest.mark.parametrize(
    'name, text, words',
    [
        ('a.py', 'x = 1  # mends it\n', ["'mends'"]),
        ('a.py', '"""It is there already."""\n', ["'is there already'"]),
        ('a.py', "print(f'{mend} is grey')\n", ["'grey'"]),
        ('a.py', 'mend = 1  # `mend` is a name, a recommendation is none\n', []),
        ('a.md', 'One\n```\nmend\n```\nfile is no COCO file\n', ["'is no COCO file'"]),
    ],
)
def test_what_counts_as_prose(name, text, words):
    assert [line.split(': ')[1] for line in complaints(name, text)] == words

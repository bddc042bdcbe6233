"""The code blocks of README and docs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')])
_FENCED = re.compile(
    r'^(?:(?P<pad> *)<!-- not run: (?P<reason>.+) -->\n)?'
    r'(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$',
    re.MULTILINE | re.DOTALL,
)
# Bash finds no program, so that it hands all of them to this function: words end with NUL.
_RECORDER = r"""
command_not_found_handle() { printf '%s\0' "$@" >>"$RECORD"; printf '\n' >>"$RECORD"; }
function . { command_not_found_handle . "$@"; }
"""


@dataclass(frozen=True)
class Block:
    """A fenced block, and the reason in the comment before it if it is not run."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    @property
    def place(self) -> str:
        return f'{self.page.relative_to(ROOT)}:{self.line}'


def blocks(*languages: str) -> list[Block]:
    """All blocks in these languages; without any, of all."""
    found = []
    for page in PAGES:
        content = page.read_text('utf-8')
        for match in _FENCED.finditer(content):
            line = content.count('\n', 0, match.start('language')) + 1
            text = textwrap.dedent(match['text'])
            found.append(Block(page, line, match['language'], text, match['reason']))
    return [block for block in found if not languages or block.language in languages]


def block(page: str, word: str) -> str:
    """The text of the one block of Python on a page that has a word; for tests that run it."""
    (found,) = (b for b in blocks('python') if b.page == ROOT / page and word in b.text)
    return found.text


def commands(text: str, record: Path) -> list[list[str]]:
    """The words of each program's call, as bash expands them; loops run, programs do not.

    Args:
        text: A script.
        record: A file to write.
    """
    record.write_bytes(b'')
    text = re.sub(r'^\.venv[\w-]*/bin/', '', text, flags=re.MULTILINE)  # not there yet
    done = subprocess.run(
        [shutil.which('bash'), '--norc', '-uc', _RECORDER + text],
        env={'PATH': '/nowhere', 'RECORD': str(record), 'HOME': os.environ.get('HOME', '/')},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ''), done.stderr
    lines = record.read_text('utf-8').split('\0\n')[:-1]
    return [line.split('\0') for line in lines]

"""Links, paths and options that README and docs name exist."""

from __future__ import annotations

import re
from functools import cache

import pytest

from .doc_blocks import PAGES, ROOT

LINK = re.compile(r'\]\(([^)\s]+)\)')
PATH = re.compile(
    r'(?<![\w./-])(?:configs|tools|benchmarks|tests|docs|requirements|mmdet_multigrain)'
    r'/[\w./*{},$-]*[\w}]'
)
MODULE = re.compile(r'python -m ((?:benchmarks|mmdet_multigrain)(?:\.\w+)+)')
OPTION = re.compile(r'(?<![\w-])--[a-z][a-z-]*')
# Options of other programs' command lines.
FOREIGN = {
    *('--kill-on-bad-exit', '--logdir', '--requeue', '--signal', '--open-mode'),
    *('--dt', '--gt', '--input', '--output', '--out-type'),
}


def links(text: str) -> list[str]:
    return [link for link in LINK.findall(text) if '://' not in link]


def anchors(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them of headings, and explicit ones."""
    prose = re.sub(r'^```.*?^```', '', text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r'^#+ (.*)$', prose, flags=re.MULTILINE)
    made = {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)"', text))


def patterns(path: str) -> list[str]:
    """Glob patterns of a path; shell braces are expanded, variables and placeholders are `*`."""
    path = re.sub(r'\$?\{\w+\}|\$\w+', '*', path)
    if not (braces := re.search(r'\{([^{}]*,[^{}]*)\}', path)):
        return [path]
    start, end = path[: braces.start()], path[braces.end() :]
    return [found for part in braces[1].split(',') for found in patterns(start + part + end)]


def exists(path: str) -> bool:
    return any(ROOT.glob(path.rstrip('/')))


@cache
def code() -> str:
    """All code that defines options."""
    files = [
        path
        for folder in ('tools', 'benchmarks', 'mmdet_multigrain')
        for suffix in ('py', 'sh')
        for path in ROOT.glob(f'{folder}/**/*.{suffix}')
    ]
    return '\n'.join(path.read_text('utf-8') for path in files)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in links(page.read_text('utf-8')):
        name, _, anchor = link.partition('#')
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text('utf-8')), link


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_named_files_and_modules_exist(page):
    text = page.read_text('utf-8')
    if page.name == 'CHANGELOG.md':  # the first column of its tables: names of before
        text = re.sub(r'^\| `[^`]*` \|', '|', text, flags=re.MULTILINE)
    text = LINK.sub(']', text)  # the other test's
    named = [pattern for path in PATH.findall(text) for pattern in patterns(path)]
    named += [f'{module.replace(".", "/")}.py' for module in MODULE.findall(text)]
    assert [path for path in named if '<' not in path and not exists(path)] == []


def test_moved_modules_are_where_the_changelog_says():
    text = (ROOT / 'CHANGELOG.md').read_text('utf-8')
    rows = re.findall(r'^\| `[^`]*` \| (.*) \|$', text, flags=re.MULTILINE)
    names = [name for row in rows for name in re.findall(r'`([^`]*)`', row)]
    assert len(names) > 90
    assert [
        name for name in names if not (exists(name) or exists(f'mmdet_multigrain/{name}'))
    ] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_named_options_exist(page):
    text = page.read_text('utf-8')
    foreign = re.compile(r'\b(pip|git|pytest|srun|run_tests\.sh) .*')
    options = {
        option for line in text.splitlines() for option in OPTION.findall(foreign.sub('', line))
    }
    known = set(OPTION.findall(code()))
    assert options - known - FOREIGN == set()


def test_readme_lists_every_page():
    listed = set(links((ROOT / 'README.md').read_text('utf-8')))
    assert {f'docs/{page.name}' for page in (ROOT / 'docs').glob('*.md')} <= listed


@pytest.mark.parametrize(
    'path, expanded',
    [
        ('configs/a_{b,c}.py', ['configs/a_b.py', 'configs/a_c.py']),
        ('configs/{variant}_{a,b}.py', ['configs/*_a.py', 'configs/*_b.py']),
        ('configs/${variant}_a.py', ['configs/*_a.py']),
    ],
)
def test_braces_and_variables(path, expanded):
    assert patterns(path) == expanded


def test_anchors_are_those_of_github():
    page = '# No code, from `data`\n```\n# none\n```\n<a id="ties"></a>'
    assert anchors(page) == {'no-code-from-data', 'ties'}

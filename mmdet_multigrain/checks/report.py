"""What was found and fixed, as text for people and as JSON for scripts."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from mmdet_multigrain.taxonomy import Taxonomy

from . import boxes, images
from .data import CocoData
from .dataset import Checked
from .finding import ERROR, NOTE, WARNING, Finding
from .fix import Fixed

SCHEMA_VERSION = 1
WIDTH = 100
INDENT = ' ' * 19


def verdict(checked: Checked) -> str:
    """`errors`, `warnings` or `clean`: the gravest that was found."""
    return 'errors' if checked.count(ERROR) else 'warnings' if checked.count(WARNING) else 'clean'


def as_text(checked: Checked) -> str:
    """The report for people: what was checked, the findings, the verdict in the last line."""
    findings = [line for finding in checked.findings for line in (*_finding(finding), '')]
    return '\n'.join([*_head(checked), '', *findings, f'verdict: {verdict_line(checked)}'])


def verdict_line(checked: Checked) -> str:
    """The verdict in words, in one line."""
    counts = {severity: checked.count(severity) for severity in (ERROR, WARNING)}
    if not any(counts.values()):
        return 'clean'
    meaning = 'do not train on it yet' if counts[ERROR] else 'usable; look at the warnings'
    kinds = ' and '.join(
        f'{count} kind{"s"[count == 1 :]} of {name}' for name, count in counts.items() if count
    )
    checks = [finding.check for finding in checked.findings if finding.check.severity != NOTE]
    fixable = sum(check.fixable for check in checks)
    if not fixable or {*boxes.DOUBTS, *images.DOUBTS} & {*checks}:
        return f'{kinds}: {meaning}'
    return f'{kinds}: {meaning} (--fix OUT fixes {fixable} of them)'


def _head(checked: Checked) -> Iterator[str]:
    width = max(7, *(len(data.split) + 2 for data in checked.files))
    for data in checked.files:
        counts = _counts(data)
        photos = f', {counts["photos"]:,} photos read{_decoded(data)}' if 'photos' in counts else ''
        split = f'{data.split}:'.ljust(width) if data.split else ''
        yield (
            f'{split}{data.path}: {counts["images"]:,} images, {counts["annotations"]:,} boxes'
            f'{"" if data.is_counted.all() else f" ({data.is_counted.sum():,} of them count)"}, '
            f'{counts["categories"]:,} categories{photos}'
        )
    taxonomy = checked.taxonomy
    if isinstance(taxonomy, Taxonomy):
        groups = '' if taxonomy.is_ungrouped else f' in {taxonomy.num_groups(0)} superclasses'
        if taxonomy.trees:
            tops = ((tree, taxonomy.levels_of(tree).start) for tree in taxonomy.trees)
            groups = f' in {", ".join(f"{taxonomy.num_groups(n)} of {tree}" for tree, n in tops)}'
        yield f'taxonomy: {taxonomy.name}, {taxonomy.num_classes} classes{groups}'
    for data in checked.files:
        for what, count in data.recovered.items():
            yield f'{f"{data.split}: " if data.split else ""}read: {count:,} {what}'


def heading(finding: Finding) -> str:
    """Severity, count and title of a finding in one line."""
    split = f'{finding.split}: ' if finding.split else ''
    check = finding.check
    return f'{check.severity:<8}{finding.count:>9,}  {split}{check.title} ({check.code})'


def _finding(finding: Finding) -> Iterator[str]:
    check = finding.check
    yield heading(finding)
    more = finding.count - len(finding.examples)
    examples = [*finding.examples, *([f'and {more:,} more'] if more else [])]
    short = '; '.join(examples)
    for example in [short] if len(INDENT + short) <= WIDTH else examples:
        yield INDENT + example
    yield from textwrap.wrap(
        f'-> {check.fix}{" (--fix does)" if check.fixable else ""}',
        WIDTH,
        initial_indent=INDENT,
        subsequent_indent=f'{INDENT}   ',
        break_long_words=False,  # a command in it can be copied
        break_on_hyphens=False,
    )


def _counts(data: CocoData) -> dict[str, int]:
    counts = {
        'images': len(data.images),
        'annotations': len(data.annotations),
        'counted_annotations': int(data.is_counted.sum()),
        'categories': len(data.categories),
    }
    if data.photos is not None:
        counts['photos'] = len({photo.path for photo in data.photos.values()})
    return counts


def _decoded(data: CocoData) -> str:
    """How many photos were decoded, if some were not."""
    readable = [photo for _, photo in data.known_photos() if photo.size]
    decoded = sum(photo.look is not None for photo in readable)
    return '' if decoded == len(readable) else f' ({decoded:,} of them decoded)'


def _text(path: str | os.PathLike[str]) -> str:
    """A path as text that JSON can hold, also one that is not UTF-8."""
    return os.fsencode(path).decode(errors='replace')


def fixed_text(path: object, fixed: Fixed) -> str:
    """What was fixed in a copy."""
    if not fixed.done:
        return f'{path}: written; there was nothing to fix'
    lines = [f'  {what:<10}{count:>9,}  {title}' for (what, title), count in fixed.done.items()]
    return '\n'.join([f'{path}: written', *lines])


def left_text(checked: Checked, fixed: Sequence[Fixed] = ()) -> str:
    """What the repaired copies still have, and the verdict on them in the last line.

    The verdict says how many boxes are gone or were computed again.
    """
    changes = filter(None, (copy.changes() for copy in fixed))
    left = [heading(finding) for finding in checked.findings if finding.check.severity != NOTE]
    lines = ['left in the repaired copy:', *left, ''] if left else []
    verdict = f'verdict on the repaired copy: {verdict_line(checked)}'
    return '\n'.join([*lines, '; '.join([verdict, *changes])])


def as_dict(checked: Checked) -> dict[str, Any]:
    """The report for scripts."""
    return {
        'schema_version': SCHEMA_VERSION,
        'verdict': verdict(checked),
        'files': [
            {'split': data.split, 'file': _text(data.path), 'counts': _counts(data)}
            for data in checked.files
        ],
        'findings': [
            {
                'kind': finding.check.code,
                'severity': finding.check.severity,
                'split': finding.split,
                'count': finding.count,
                'title': finding.check.title,
                'examples': list(finding.examples),
                'fix': finding.check.fix,
                'fixable': finding.check.fixable,
            }
            for finding in checked.findings
        ],
    }


def fixed_dict(path: str | os.PathLike[str], fixed: Fixed) -> dict[str, Any]:
    """What was fixed in a copy, for scripts."""
    done = [{'what': what, 'to': to, 'count': count} for (what, to), count in fixed.done.items()]
    return {'file': _text(path), 'removed_boxes': fixed.removed, 'done': done}

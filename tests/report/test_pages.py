"""Styles that the pages share: they can be read by day and by night."""

import re
from importlib import resources

import pytest

from mmdet_multigrain import report

CSS = (resources.files(report) / 'pages' / 'page.css').read_text('utf-8')


def colors(block):
    """The variables that are plain colors, as red, green and blue from 0 to 1."""
    found = re.findall(r'--(\w+): #([0-9a-f]{3}|[0-9a-f]{6});', block)
    texts = {
        name: text if len(text) == 6 else ''.join(2 * digit for digit in text)
        for name, text in found
    }
    return {
        name: [int(text[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        for name, text in texts.items()
    }


def luminance(color):
    """Relative luminance (WCAG)."""
    parts = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


@pytest.mark.parametrize('night', [False, True])
def test_contrast(night):
    """At least 4.5 to 1 for all text."""
    day, _, rest = CSS.partition('@media screen and (prefers-color-scheme: dark) {')
    found = colors(day) | (colors(rest.partition('@media')[0]) if night else {})
    assert (luminance(found['paper']) < 0.1) is night
    for ink in ('ink', 'muted', 'link'):
        for paper in ('paper', 'soft'):
            light, dark = sorted((luminance(found[ink]), luminance(found[paper])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper)


def test_what_scrolls_shows_it():
    assert re.search(r'\.scroll \{ overflow-x: auto; background:\s+linear-gradient', CSS)
    assert CSS.count(' local') == CSS.count(' scroll,') + CSS.count(' scroll;') == 2
    assert '.scrolls::before { content: "Scroll sideways' in CSS

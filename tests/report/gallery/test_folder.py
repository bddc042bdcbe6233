"""The page of pictures with hostile names: nothing of them becomes markup or a link."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import PurePosixPath

import pytest

from mmdet_multigrain.report.gallery.folder import GalleryPage, Picture, slug
from mmdet_multigrain.report.templates import render_template

HOSTILE = (
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    'javascript:alert(1)',
    '</title><svg onload=alert(1)>',
    '&lt;b&gt;',
    '{{ 7 * 7 }}',
    '"onfocus="alert(1)" autofocus x="',
    '--><!--',
    'x\u202egpj.<b>',
    '../../x',
    '%3Cscript%3E',
)


class Elements(HTMLParser):
    """All elements with their attributes, and all text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found, self.text = [], ''

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def page_of(name: str) -> str:
    picture = Picture(PurePosixPath(slug(name), f'001_{slug(name)}.jpg'), f'1: {name}', (3, 11))
    sheet = Picture(PurePosixPath(slug(name), 'sheet.jpg'), f'{name}: {name}')
    gallery = GalleryPage(name, 3, sheet, ((picture, (0.1, 0.2, 0.3, 0.4)),))
    return render_template(
        'mmdet_multigrain.report.gallery',
        'browse.html.j2',
        score_thr=None,
        scores={name: 0.25},
        classes={name: {3: name, 11: 'b'}},
        hedged=True,
        only=[name],
        blurred=False,
        legend={name: '#aabbcc'},
        photos=[picture],
        runs={name: [gallery]},
    )


@pytest.mark.parametrize('name', HOSTILE)
def test_names_stay_text(name):
    pages = {}
    for key, value in (('hostile', name), ('harmless', 'a name')):
        pages[key] = Elements()
        pages[key].feed(page_of(value))
    hostile, harmless = pages['hostile'], pages['harmless']
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in harmless.found]
    assert [[*attributes] for _, attributes in hostile.found] == [
        [*attributes] for _, attributes in harmless.found
    ]
    assert hostile.text.count(name) == harmless.text.count('a name')
    for _, attributes in hostile.found:
        for link in (attributes.get('href'), attributes.get('src')):
            assert link is None or link == 'index.csv' or link.lstrip('#').startswith(slug(name))
            assert link is None or not {*link} & {*'<>"\'`:'} and '..' not in link


@pytest.mark.parametrize('name', HOSTILE)
def test_names_of_files_stay_within_their_folder(name):
    assert '/' not in slug(name) and '\\' not in slug(name) and slug(name)[0] not in '.-'


def test_pictures_can_be_filtered_and_opened_in_large():
    page = Elements()
    page.feed(page_of('a name'))
    links = [attributes for tag, attributes in page.found if 'data-classes' in attributes]
    assert [one['data-classes'] for one in links] == ['3 11', '3 11']  # side by side, on a sheet
    assert all(one['title'] and one['href'].endswith('.jpg') for one in links)
    options = [attributes['value'] for tag, attributes in page.found if tag == 'option']
    assert options == ['', '3 11', '3', '11'] and 'a name: b' in page.text
    tags = [tag for tag, _ in page.found]
    assert tags.count('dialog') == 1 and tags.count('button') == 3
    groups = [attributes for _, attributes in page.found if attributes.get('class') == 'group']
    assert len(groups) == 2  # each hides when no picture of it is of the class
    assert 'a name 0.25.' in page.text and '@media screen and (prefers-color-scheme: dark)' in (
        page.text
    )

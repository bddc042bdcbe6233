"""tools/analysis_tools/browse.py: what it writes, that it opens offline, wrong input."""

from __future__ import annotations

import csv
import html.parser
import json
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from .conftest import call

CLASSES = [('shirt', 'top'), ('vest', 'top'), ('юбка', 'bottom'), ('<b>hat</b>', 'head & hair')]
# image, category, box of the ground truth
TRUTH = [
    (1, 1, [10, 10, 40, 40]),
    (1, 3, [10, 60, 40, 50]),
    (2, 2, [20, 20, 50, 50]),
    (3, 4, [30, 5, 30, 20]),
    (4, 1, [0, 0, 96, 120]),
]
RIGHT = [(*row, 0.9) for row in TRUTH]
WRONG = [
    (1, 2, [10, 10, 40, 40], 0.8),  # the shirt, within its superclass
    (1, 1, [10, 60, 40, 50], 0.7),  # the skirt, another superclass
    (2, 2, [45, 20, 50, 50], 0.6),  # poor box
    (3, 4, [30, 5, 30, 20], 0.9),
    (3, 4, [31, 5, 30, 20], 0.55),  # twice
    (4, 3, [0, 0, 8, 8], 0.95),
]  # background; the shirt is missed


def browse(*arguments):
    return call('analysis_tools/browse', *arguments)


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def detections(rows):
    return [
        {'image_id': image, 'category_id': category, 'bbox': box, 'score': score}
        for image, category, box, score in rows
    ]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Four photos, their ground truth, a run that is right and one that is wrong."""
    folder = tmp_path_factory.mktemp('photos to browse')
    (folder / 'images' / 'deep').mkdir(parents=True)
    images = []
    for number in range(1, 5):
        name = f'deep/photo {number} ü.jpg'
        pixels = np.random.default_rng(number).integers(0, 255, (120, 96, 3), np.uint8)
        Image.fromarray(pixels).save(folder / 'images' / name)
        images.append({'id': number, 'file_name': name, 'width': 96, 'height': 120})
    write(
        folder / 'truth.json',
        {
            'images': images,
            'categories': [
                {'id': number, 'name': name, 'supercategory': group}
                for number, (name, group) in enumerate(CLASSES, 1)
            ],
            'annotations': [
                {
                    'id': number,
                    'image_id': image,
                    'category_id': category,
                    'bbox': box,
                    'area': box[2] * box[3],
                    'iscrowd': 0,
                }
                for number, (image, category, box) in enumerate(TRUTH, 1)
            ],
        },
    )
    write(folder / 'good.json', detections(RIGHT))
    write(folder / 'bad.json', detections(WRONG))
    return folder


def options(data, out, *runs):
    return [
        *(data / f'{run}.json' for run in runs),
        '--ann-file',
        data / 'truth.json',
        '--images',
        data / 'images',
        '--out',
        out,
    ]


@pytest.fixture(scope='module')
def written(data, tmp_path_factory):
    """One call with two runs: its folder and its screen."""
    out = tmp_path_factory.mktemp('browse') / 'new' / 'folder'
    result = browse(*options(data, out, 'good', 'bad'))
    assert result.status == 0, result.err
    return out, result


def rows_of(out):
    with open(out / 'index.csv', encoding='utf-8', newline='') as file:
        return [*csv.DictReader(file)]


def pictures_of(out):
    return sorted(path.relative_to(out).as_posix() for path in out.rglob('*.jpg'))


def test_the_files(written):
    out, result = written
    assert pictures_of(out) == sorted(
        [
            *(f'side_by_side/00{n}_photo_{photo}.jpg' for n, photo in enumerate((1, 2, 4, 3), 1)),
            *(
                f'bad/{kind}/{name}.jpg'
                for kind, name in (
                    ('wrong_class_right_superclass', '001_photo_1'),
                    ('wrong_superclass', '001_photo_1'),
                    ('poor_box', '001_photo_2'),
                    ('duplicate', '001_photo_3'),
                    ('background', '001_photo_4'),
                    ('missed', '001_photo_4'),
                )
            ),
            *(
                f'bad/{kind}/sheet.jpg'
                for kind in (
                    'wrong_class_right_superclass',
                    'wrong_superclass',
                    'poor_box',
                    'duplicate',
                    'background',
                    'missed',
                )
            ),
        ]
    )
    assert f'16 pictures -> {out / "index.html"}' == result.out.splitlines()[-1]
    assert not [path for path in out.rglob('*') if path.name.startswith('.')]


def test_the_index_lists_every_box(written):
    out, _ = written
    rows = rows_of(out)
    galleries = [row for row in rows if not row['picture'].startswith('side_by_side/')]
    assert [
        (row['kind'], row['run'], row['image_id'], row['predicted'], row['true'], row['score'])
        for row in galleries
    ] == [
        ('wrong class, right superclass', 'bad', '1', 'vest', 'shirt', '0.8'),
        ('wrong superclass', 'bad', '1', 'shirt', 'юбка', '0.7'),
        ('poor box', 'bad', '2', 'vest', 'vest', '0.6'),
        ('duplicate', 'bad', '3', '<b>hat</b>', '<b>hat</b>', '0.55'),
        ('background', 'bad', '4', 'юбка', '', '0.95'),
        ('missed', 'bad', '4', '', 'shirt', ''),
    ]
    poor = galleries[2]
    assert [poor[key] for key in ('x', 'y', 'width', 'height', 'iou')] == [
        '45.0',
        '20.0',
        '50.0',
        '50.0',
        '0.3333',
    ]
    assert poor['file'] == 'deep/photo 2 ü.jpg'
    side = [row for row in rows if row['picture'].startswith('side_by_side/')]
    assert sum(row['run'] == 'good' and row['kind'] == 'hit' for row in side) == len(TRUTH)
    assert sum(row['run'] == 'bad' for row in side) == len(WRONG) + 1  # and one missed
    assert all((out / row['picture']).is_file() for row in rows)


def test_pictures_have_the_size_asked_for(written):
    out, _ = written
    with Image.open(out / 'bad' / 'poor_box' / '001_photo_2.jpg') as picture:
        assert picture.width == 480 and picture.height > 600  # 96 x 120, enlarged, and a caption
    with Image.open(out / 'side_by_side' / '001_photo_1.jpg') as picture:
        assert picture.width == 3 * 480 + 4 * 8


class Page(html.parser.HTMLParser):
    """Links and visible words of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.words, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ('href', 'src')]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_opens_offline(written):
    out, _ = written
    page = Page((out / 'index.html').read_text('utf-8'))
    files = {urllib.parse.unquote(link) for link in page.links if not link.startswith('#')}
    assert files == {'index.csv', *pictures_of(out)}
    assert 'b' not in page.tags and 'script' not in page.tags  # a class is called <b>hat</b>
    words = ' '.join(' '.join(page.words).split())
    for text in ('Side by side', 'wrong superclass', '1 of 1', 'head & hair', 'good: errors'):
        assert text in words


def test_the_same_bytes_each_time(written, data, tmp_path):
    out, _ = written
    assert browse(*options(data, tmp_path, 'good', 'bad')).status == 0
    files = [path for path in out.rglob('*') if path.is_file()]
    for path in files:
        assert (tmp_path / path.relative_to(out)).read_bytes() == path.read_bytes(), path
    assert len(files) == 18


def test_what_is_no_longer_shown_goes_but_nothing_else(data, tmp_path):
    assert browse(*options(data, tmp_path, 'bad')).status == 0
    mine = tmp_path / 'bad' / 'duplicate' / 'mine.jpg'
    mine.write_bytes(b'mine')
    assert (
        browse(
            *options(data, tmp_path, 'bad'),
            '--num',
            1,
            '--per-kind',
            1,
            '--classes',
            'VEST',
            'shirt',
        ).status
        == 0
    )
    assert pictures_of(tmp_path) == sorted(
        [
            'bad/duplicate/mine.jpg',
            'side_by_side/001_photo_1.jpg',
            *(
                f'bad/{kind}/{name}.jpg'
                for kind, name in (
                    ('wrong_class_right_superclass', '001_photo_1'),
                    ('wrong_superclass', '001_photo_1'),
                    ('poor_box', '001_photo_2'),
                    ('missed', '001_photo_4'),
                )
            ),
            *(
                f'bad/{kind}/sheet.jpg'
                for kind in (
                    'wrong_class_right_superclass',
                    'wrong_superclass',
                    'poor_box',
                    'missed',
                )
            ),
        ]
    )
    assert not (tmp_path / 'bad' / 'background').exists()


def test_an_index_cannot_make_it_remove_other_files(data, tmp_path):
    out, other = tmp_path / 'out', tmp_path / 'other.jpg'
    other.write_bytes(b'')
    out.mkdir()
    (out / 'notes.txt').write_text('')
    (out / 'index.csv').write_text(f'picture\n../other.jpg\n{other}\nnotes.txt\n..\n')
    (out / 'index.html').touch()
    assert browse(*options(data, out, 'bad'), '--num', 0, '--per-kind', 0).status == 0
    assert other.exists() and (out / 'notes.txt').exists()
    assert rows_of(out) == []


def test_caps(data, tmp_path):
    assert (
        browse(
            *options(data, tmp_path, 'good', 'bad'), '--num', 2, '--per-kind', 0, '--width', 200
        ).status
        == 0
    )
    assert pictures_of(tmp_path) == ['side_by_side/001_photo_1.jpg', 'side_by_side/002_photo_2.jpg']


def test_a_lower_threshold_shows_more(data, tmp_path):
    counts = []
    for thr in ('0.5', '0.85'):
        assert browse(*options(data, tmp_path / thr, 'bad'), '--score-thr', thr).status == 0
        counts.append(sum(row['score'] != '' for row in rows_of(tmp_path / thr)))
    assert counts[0] > counts[1] > 0


def test_some_photos_are_not_there(data, tmp_path):
    images = tmp_path / 'images' / 'deep'
    images.mkdir(parents=True)
    for number in (1, 2):
        name = f'photo {number} ü.jpg'
        (images / name).write_bytes((data / 'images' / 'deep' / name).read_bytes())
    (images / 'photo 3 ü.jpg').write_bytes(b'no photo')
    result = browse(*options(data, tmp_path / 'out', 'bad'), '--images', tmp_path / 'images')
    assert result.status == 0
    assert '2 x photo left out' in result.err
    assert 'photo 3 ü.jpg: not a readable photo' in result.err
    assert 'photo 4 ü.jpg: no such photo' in result.err
    assert not (tmp_path / 'out' / 'bad' / 'missed').exists()
    assert {row['image_id'] for row in rows_of(tmp_path / 'out')} == {'1', '2'}


def test_photos_that_are_nowhere(data, tmp_path):
    (tmp_path / 'images').mkdir()
    run = options(data, tmp_path / 'out', 'bad')
    assert (
        'none of the 4 photos to show is there (first: deep/photo 1 ü.jpg); name their folder '
        '(--images)'
    ) in browse(*run, '--images', tmp_path / 'images').error()
    assert 'nowhere: no such folder of photos' in browse(*run, '--images', 'nowhere').error()
    assert (
        'does not say where the photos are'
        in browse(
            data / 'bad.json', '--ann-file', data / 'truth.json', '--out', tmp_path / 'out'
        ).error()
    )
    assert not (tmp_path / 'out').exists()


def test_runs_without_detections(data, tmp_path):
    empty = write(tmp_path / 'empty.json', [])
    rest = ['--ann-file', data / 'truth.json', '--images', data / 'images', '--out', tmp_path]
    assert (
        f'{empty}: no detection with a score of 0.5 or more (there are none at all)'
        in browse(empty, *rest).error()
    )
    assert (
        '(the best has 0.950); lower --score-thr'
        in browse(data / 'bad.json', *rest, '--score-thr', '0.99').error()
    )
    assert 'ground truth' in browse(data / 'bad.json', *rest[2:]).error()


def test_runs_on_different_ground_truth(data, tmp_path):
    content = json.loads((data / 'truth.json').read_bytes())
    content['annotations'].pop()
    other = write(tmp_path / 'other.json', content)
    assert (
        'on other ground truth'
        in browse(
            f'{data / "good.json"}:{data / "truth.json"}',
            f'{data / "bad.json"}:{other}',
            '--images',
            data / 'images',
            '--out',
            tmp_path / 'out',
        ).error()
    )


def test_wrong_options(data, tmp_path):
    run = options(data, tmp_path / 'out', 'bad')
    assert "--classes: class 'shirts' is not in" in browse(*run, '--classes', 'shirts').error()
    for wrong in (
        ['--num', '-1'],
        ['--per-kind', '1000'],
        ['--width', '5'],
        ['--width', 'wide'],
        ['--score-thr', 'nan'],
        ['--score-thr', 'high'],
    ):
        result = browse(*run, *wrong)
        assert result.status == 2 and 'error: argument' in result.err.splitlines()[-1]
    (tmp_path / 'file').touch()
    assert 'cannot be written' in browse(*options(data, tmp_path / 'file', 'bad')).err
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_blurring_says_what_it_does_not_do(data, tmp_path):
    result = browse(*options(data, tmp_path, 'bad'), '--blur-faces')
    assert result.status == 0
    assert 'faces are missed, so look at every picture' in result.out
    assert 'it misses some' in (tmp_path / 'index.html').read_text('utf-8')


def test_a_real_run(tested, garment_data, tmp_path):
    """The result.json of a test knows its ground truth and its photos."""
    result = browse(tested.result, '--out', tmp_path, '--score-thr', 0, '--num', 2, '--per-kind', 1)
    assert result.status == 0, result.err
    assert len(pictures_of(tmp_path / 'side_by_side')) == 2


@pytest.mark.parametrize('name', ['index.html', 'index.csv'])
def test_files_of_other_commands_stay(data, tmp_path, name):
    (tmp_path / name).write_text('mine')
    line = browse(*options(data, tmp_path, 'bad')).error()
    assert f'{tmp_path / name}: already exists, from another command' in line
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert browse(*options(data, tmp_path, 'bad'), '--force').status == 0

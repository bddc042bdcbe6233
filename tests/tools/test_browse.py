"""tools/analysis_tools/browse.py: what it writes, that it opens offline, wrong input."""

from __future__ import annotations

import dataclasses
import html.parser
import urllib.parse

import pytest
import torch
from PIL import Image

from mmdet_multigrain.engine.checkpoint.scoring import scoring_of
from mmdet_multigrain.evaluation import RunRecord, write_result
from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.taxonomy import Taxonomy

from .browse_cases import (
    TRUTH,
    WRONG,
    browse,
    detections,
    make_photos,
    options,
    pictures_of,
    rows_of,
    write,
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp('photos to browse'))


@pytest.fixture(scope='module')
def written(data, tmp_path_factory):
    """One call with two runs: its folder and its screen."""
    out = tmp_path_factory.mktemp('browse') / 'new' / 'folder'
    result = browse(*options(data, out, 'good', 'bad'))
    assert result.status == 0, result.err
    return out, result


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
    assert 'b' not in page.tags and page.tags.count('script') == 1  # a class is called <b>hat</b>
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


def test_answers(data, tmp_path):
    """Of a run with lineages; a number needs no calibration, a calibrated rule fits one run."""
    rows = detections(WRONG)
    for row, lineage in zip(rows, [[0.4, 0.9], [0.3, 0.4]] + [[0.8, 0.9]] * 4, strict=True):
        row['lineage'] = lineage
    run, out = write(tmp_path / 'told.json', rows), tmp_path / 'out'
    result = browse(run, *options(data, out), '--hedge', '0.5')
    assert result.status == 0, result.err
    found = {(row['predicted'], row['answer']) for row in rows_of(out) if row['answer']}
    assert found == {('vest', 'top'), ('shirt', 'object')}
    taxonomy = Taxonomy.load(str(data / 'truth.json'))
    theta = tmp_path / 'theta.json'
    AnswerRule(0.5, taxonomy, checkpoint={'name': 'a.pth'}).save(theta)
    line = browse(run, *options(data, out, 'good'), '--hedge', theta).error()
    assert 'theta.json: is for one detector; name its run only, or give a number' in line
    line = browse(*options(data, tmp_path / 'none', 'good'), '--hedge', theta).error()
    assert 'good.json: says only the class of each detection' in line
    assert browse(run, *options(data, out), '--hedge', theta).status == 0


def test_a_rule_of_another_detector(data, tmp_path):
    rows = [{**row, 'lineage': [0.4, 0.9]} for row in detections(WRONG)]
    (run,) = load_runs([write(tmp_path / 'told.json', rows)], ann_file=data / 'truth.json')
    checkpoint, theta = tmp_path / 'best.pth', tmp_path / 'theta.json'
    record = RunRecord(checkpoint=str(checkpoint))
    result = dataclasses.replace(run.result, run=record, detections_file='told.json')
    write_result(tmp_path / 'result.json', result)
    weights = {'state_dict': {'a': torch.ones(2)}}
    own = scoring_of('mine.pth', weights, {'fusion': dict(type='NorCal')})

    def shown(**changed):
        AnswerRule(0.5, run.result.taxonomy, checkpoint={**own, **changed}).save(theta)
        more = '--hedge', theta, '--num', 1, '--per-kind', 1
        return browse(tmp_path, *options(data, tmp_path / 'out'), *more)

    unknown = f'{theta}: not checked whether it is of the detector of {tmp_path}/result.json'
    assert f'{unknown} (checkpoint {checkpoint}: no such file)\n' in shown().out
    checkpoint.write_bytes(b'')
    assert f'{unknown} ({checkpoint}: not a whole checkpoint (' in shown().out
    torch.save(weights, checkpoint)
    same = f'{unknown} with the same fusion ({own["fusion"]}); its weights are the same\n'
    assert same in shown().out
    line = shown(digest='0' * 64, name='b.pth').error()
    assert "theta.json: calibrated of other weights (digest differs: 'b.pth' there, " in line


def test_caps(data, tmp_path):
    assert (
        browse(
            *options(data, tmp_path, 'good', 'bad'), '--num', 2, '--per-kind', 0, '--width', 200
        ).status
        == 0
    )
    assert pictures_of(tmp_path) == ['side_by_side/001_photo_1.jpg', 'side_by_side/002_photo_2.jpg']


def test_the_threshold_comes_from_the_data(data, tmp_path):
    """Six detections of five boxes: the one with the lowest score is left out, in the page, too."""
    assert browse(*options(data, tmp_path, 'good', 'bad')[:-2]).status == 0
    scores = [row['score'] for row in rows_of(tmp_path) if row['run'] == 'bad' and row['score']]
    assert min(map(float, scores)) == 0.6
    words = ' '.join((tmp_path / 'index.html').read_text('utf-8').split())
    assert 'Lowest score: good 0.9, bad 0.6.' in words


def test_a_lower_threshold_shows_more(data, tmp_path):
    counts = []
    for thr in ('0.5', '0.85'):
        assert browse(*options(data, tmp_path / thr, 'bad'), '--score-thr', thr).status == 0
        counts.append(sum(row['score'] != '' for row in rows_of(tmp_path / thr)))
    assert counts[0] > counts[1] > 0


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

"""A folder of pictures from a run: what is written, listed, and removed again."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import PurePosixPath
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.evaluation.functional.error_analysis import ERRORS, Kind
from mmdet_multigrain.report.gallery import browse as module
from mmdet_multigrain.report.gallery.browse import Choice, _by_group, browse, choose_galleries
from mmdet_multigrain.report.gallery.cases import Case
from mmdet_multigrain.report.gallery.folder import (
    INDEX,
    PAGE,
    Gallery,
    Picture,
    PictureFolder,
    _detail,
    _unique,
    slug,
)
from mmdet_multigrain.report.gallery.photos import Photos
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError, ReportError, TaxonomyError

from ..runs.made_runs import NUM_IMAGES, TAXONOMY, write_ground_truth, write_run

BOX = (1.0, 2.0, 30.0, 40.0)


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Two runs and their photos, of which one is missing."""
    root = tmp_path_factory.mktemp('runs')
    truth = write_ground_truth(root / 'val.json')
    folders = [
        write_run(root / name, truth, wrong=wrong, seed=0, config=f'{name}.py')
        for name, wrong in (('good', 0.1), ('bad', 0.6))
    ]
    (root / 'photos').mkdir()
    for number in range(1, NUM_IMAGES + 1):
        Image.new('RGB', (200, 200), (128, 128, 128)).save(root / 'photos' / f'{number}.jpg')
    return load_runs(folders), root / 'photos'


def rows_of(out):
    return list(csv.DictReader((out / INDEX).read_text().splitlines()))


def files(out):
    return {str(path.relative_to(out)) for path in out.rglob('*') if path.is_file()}


def test_what_is_written_is_listed(runs, tmp_path, capfd):
    runs, photos = runs
    out = tmp_path / 'out'
    choice = Choice(num=2, per_kind=2)
    folder = browse(runs, out, photos=Photos(photos), choice=choice, width=100)
    rows, written = rows_of(out), files(out)
    sheets = {path for path in written if path.endswith('sheet.jpg')}
    assert {row['picture'] for row in rows} == written - {INDEX, PAGE} - sheets
    assert folder.num_written == len(written) - 2
    both = sorted(path for path in written if path.startswith('side_by_side'))
    assert [path.split('/')[1][:4] for path in both] == ['001_', '002_']
    with Image.open(out / both[0]) as picture:
        assert picture.width == 3 * (100 + 8) + 8  # the truth and two runs
    kinds = {path.split('/')[1] for path in written if path.startswith('bad/')}
    assert kinds <= {slug(kind.label) for kind in ERRORS} and len(kinds) >= 3
    assert all(len([p for p in written if p.startswith(f'bad/{kind}/')]) <= 3 for kind in kinds)
    page = (out / PAGE).read_text()
    assert all(path in page for path in both) and '<script>alert' not in page
    assert capfd.readouterr().err == ''
    # A second call replaces what it lists, and leaves other files.
    (out / 'side_by_side' / 'mine.jpg').write_text('mine')
    browse(runs[:1], out, photos=Photos(photos), choice=Choice(num=1, per_kind=0), width=100)
    assert {path for path in files(out) if path not in (INDEX, PAGE)} == {
        'side_by_side/mine.jpg',
        *(row['picture'] for row in rows_of(out)),
    }
    assert not (out / 'bad').exists()


def test_answers(runs, tmp_path):
    """Of a run whose result says nothing of groups, then of one that does."""
    (run, _), photos = runs
    choice = Choice(num=4, per_kind=1, rule=AnswerRule(0.5, TAXONOMY))
    with pytest.raises(ReportError, match='test again with --lineages, or leave --hedge out'):
        browse([run], tmp_path, photos=Photos(photos), choice=choice)
    found = run.detections
    levels = np.arange(len(found.scores)) % (TAXONOMY.num_levels + 1)
    nodes = np.arange(TAXONOMY.num_levels)
    told = replace(found, lineages=np.where(nodes < levels[:, None], 0.4, 0.6))
    run = SimpleNamespace(
        name='r', result=run.result, ground_truth=run.ground_truth, detections=told,
        test_set=run.test_set, detections_file=run.detections_file,
    )  # fmt: skip
    browse([run], tmp_path, photos=Photos(photos), choice=choice, width=60)
    rows = rows_of(tmp_path)
    assert {row['answer'] for row in rows} >= {'object', ''} and len(rows) > 5
    for row in rows:
        if row['answer'] not in ('object', ''):
            assert row['answer'] == TAXONOMY.superclass_of(row['predicted']) != row['predicted']
    assert 'An arrow leads to the answer' in (tmp_path / PAGE).read_text()
    with pytest.raises(EvaluationError, match='other classes or groups'):
        other = Choice(rule=AnswerRule(0.5, Taxonomy('other', TAXONOMY.classes)))
        browse([run], tmp_path, photos=Photos(photos), choice=other)


def test_groups_of_classes():
    taxonomy = Taxonomy.load({'groups': {'b': ['x', 'z'], 'c': {'d': ['y', 'v'], 'e': ['w']}}})
    for names, expected in (
        (None, 'xzyvw'), (['x'], 'x'), (['B'], 'xz'), (['c', 'x'], 'xyvw'), (['d'], 'yv'),
        (['object'], 'xzyvw'),
    ):  # fmt: skip
        labels = Choice(classes=names).labels(taxonomy)
        assert labels == {taxonomy.label_of(name) for name in expected}
    with pytest.raises(TaxonomyError, match="--classes: class 'f' is not in taxonomy"):
        Choice(classes=['f']).labels(taxonomy)
    assert _by_group(taxonomy, [3, 0, 1]) == {'b': {0: 'x', 1: 'z'}, 'c': {3: 'v'}}


def test_progress_and_photos_that_are_missing(runs, tmp_path, capfd):
    runs, photos = runs
    few = tmp_path / 'photos'
    few.mkdir()
    (few / '1.jpg').write_bytes((photos / '1.jpg').read_bytes())
    some = Photos(few)
    choice = Choice(num=NUM_IMAGES, per_kind=1)
    browse(runs[:1], tmp_path / 'out', photos=some, choice=choice, width=60, progress=True)
    assert 'drawing: 100%' in capfd.readouterr().err
    pictures = [path for path in files(tmp_path / 'out') if path.startswith('side_by_side')]
    assert len(pictures) == 1 and some.problems.counts['photo left out'] == NUM_IMAGES - 1
    with pytest.raises(ReportError, match='none of the .* photos to show is there'):
        browse(runs[:1], tmp_path / 'no', photos=Photos(tmp_path), choice=Choice(num=1))
    assert not (tmp_path / 'no').exists()


def test_choices(runs):
    assert Choice() == Choice(None, 24, 12, None)
    assert Choice().labels(TAXONOMY) == {0, 1, 2, 3, 4}
    assert Choice(classes=['hat', 'skirt']).labels(TAXONOMY) == {3, 4}
    with pytest.raises(TaxonomyError, match="^--classes: class 'sock' is not in"):
        Choice(classes=['sock']).labels(TAXONOMY)


def test_lowest_scores(runs):
    run = runs[0][0]
    scores = run.detections.scores
    assert module._lowest_score(run, float(scores.max())) == scores.max()
    assert module._lowest_score(run, None) == pytest.approx(np.sort(scores)[-48:].min(), abs=1e-3)
    with pytest.raises(ReportError, match=r'no detection with a score of 1\.5 or more \(the best'):
        module._lowest_score(run, 1.5)
    none = SimpleNamespace(
        detections_file=SimpleNamespace(path='a.json'),
        detections=SimpleNamespace(scores=np.zeros(0)),
    )
    with pytest.raises(ReportError, match='^a.json: no detections; look at the run'):
        module._lowest_score(none, None)


def case(kind, image=0, score=0.5):
    missed = kind == Kind.MISSED
    return Case(kind, image, None if missed else 0, 1, None if missed else score, None, BOX, BOX)


def test_galleries_have_the_kinds_in_their_order():
    background, lost = case(Kind.BACKGROUND), case(Kind.MISSED)
    found = {
        'one': [lost, background, case(Kind.HIT), case(Kind.BACKGROUND, 1, 0.4)],
        'two': [case(Kind.HIT)],
    }
    galleries = choose_galleries(found, ['a', 'b'], per_kind=1)
    assert galleries == [
        Gallery('one', Kind.BACKGROUND, 2, [background]),
        Gallery('one', Kind.MISSED, 1, [lost]),
    ]
    assert choose_galleries(found, ['a', 'b'], per_kind=0) == []


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('a/b/photo 1.JPG', 'photo_1'),
        ('x.jpeg', 'x'),
        ('x.tiff', 'x.tiff'),
        ('фото', 'unnamed'),
        ('_a-._', 'a'),
        ('a' * 99, 'a' * 60),
        ('a' * 59 + '-b', 'a' * 59),
    ],
)
def test_names_of_files(name, expected):
    assert slug(name) == expected


def test_names_of_folders_differ():
    names = ['a', 'A', 'a', 'side_by_side', 'b']
    assert _unique(names) == ['a', 'A_1', 'a_2', 'side_by_side_1', 'b']


def test_pictures_link_by_escaped_paths():
    assert Picture(PurePosixPath('a b', 'ü.jpg'), 'x').link == 'a%20b/%C3%BC.jpg'
    assert Picture(PurePosixPath('a'), 'x').classes == ()


def test_details():
    assert _detail(case(Kind.MISSED)) == '30 x 40 pixels'
    hit = Case(Kind.HIT, 0, 1, 1, 0.5, 0.756, (0, 0, 9.6, 4.4), BOX)
    assert _detail(hit) == 'IoU 0.76, 10 x 4 pixels'


def test_rows_of_the_index(tmp_path):
    folder = PictureFolder(
        tmp_path,
        photos=None,
        truth=SimpleNamespace(image_ids=(70, 'b')),
        file_names=['x.jpg', 'y.jpg'],
        runs=['r'],
        classes=SimpleNamespace(names=('shirt', 'vest')),
        width=10,
        labels=(),
    )
    wrong = Case(Kind.CLASS_WITHIN, 1, 0, 1, 0.123456, 0.98765, (1.234, 2, 3, 4.567), BOX, 'top')
    folder._list(wrong, 'r', PurePosixPath('a/001_y.jpg'))
    folder._list(case(Kind.MISSED), 'r', PurePosixPath('a/002_x.jpg'))
    folder.finish('page')
    assert (tmp_path / PAGE).read_text() == 'page' and folder.num_written == 0
    first, second = rows_of(tmp_path)
    assert first == dict(
        file='y.jpg', kind=Kind.CLASS_WITHIN.label, run='r', image_id='b', predicted='shirt',
        true='vest', answer='top', score='0.1235', iou='0.9877', picture='a/001_y.jpg', x='1.23', y='2',
        width='3', height='4.57',
    )  # fmt: skip
    assert (second['predicted'], second['score'], second['iou'], second['answer']) == ('',) * 4
    assert (second['image_id'], second['true']) == ('70', 'vest')

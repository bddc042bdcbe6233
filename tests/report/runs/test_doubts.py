"""Detections in other forms than COCO's, and those that are only bad."""

import numpy as np
import pytest

from mmdet_multigrain.report.runs.doubts import find_doubt
from mmdet_multigrain.report.runs.inputs import TestSet, read_detections
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError

from .made_work_dirs import write

NAMES = ('vest', 'coat', 'skirt', 'shorts')
FORMS = {
    'corners': lambda b, size: [b[0], b[1], b[0] + b[2], b[1] + b[3]],
    'center': lambda b, size: [b[0] + b[2] / 2, b[1] + b[3] / 2, b[2], b[3]],
    'y before x': lambda b, size: [b[1], b[0], b[3], b[2]],
}


def truth(ids=(1, 2, 3, 4), *, count=30, sizes=((160, 120), (240, 300), (400, 200))):
    """Images of several sizes with two boxes each."""
    draw = np.random.default_rng(0)
    images, annotations = [], []
    for image in range(1, count + 1):
        width, height = sizes[image % len(sizes)]
        images.append({'id': image, 'file_name': f'{image}.jpg', 'width': width, 'height': height})
        for _ in range(2):
            w, h = (draw.uniform(0.2, 0.4, 2) * (width, height)).round()
            x, y = (draw.uniform(0, 0.6, 2) * (width, height)).round()
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': image,
                    'category_id': ids[draw.integers(len(ids))],
                    'bbox': [x, y, w, h],
                }
            )
    categories = [{'id': id, 'name': name} for id, name in zip(ids, NAMES, strict=True)]
    return {'images': images, 'annotations': annotations, 'categories': categories}


def detections(content, *, noise=0.04, seed=1):
    """A detection near each box, and some anywhere."""
    draw, found = np.random.default_rng(seed), []
    size_of = {image['id']: (image['width'], image['height']) for image in content['images']}
    for item in content['annotations']:
        box = np.array(item['bbox']) + draw.normal(0, noise, 4) * np.tile(item['bbox'][2:], 2)
        any_ = np.array([0.1, 0.1, 0.2, 0.2]) * np.tile(size_of[item['image_id']], 2)
        for near, score in ((box, draw.uniform(0.4, 1)), (any_, 0.05)):
            found.append(
                {
                    'image_id': item['image_id'],
                    'category_id': item['category_id'],
                    'bbox': np.maximum(near, [-9, -9, 1, 1]).tolist(),
                    'score': score,
                }
            )
    return found, size_of


@pytest.fixture
def doubt(tmp_path):
    def find(content, found):
        test_set = TestSet(write(tmp_path / 'val.json', content), Taxonomy('t', NAMES), False)
        return find_doubt(read_detections(write(tmp_path / 'd.json', found), test_set), test_set)

    return find


@pytest.mark.parametrize('noise', [0, 0.04, 0.15, 0.3])
def test_good_and_weak_detections_are_not_doubted(doubt, noise):
    content = truth()
    assert doubt(content, detections(content, noise=noise)[0]) == ''


@pytest.mark.parametrize('seed', range(5))
def test_boxes_anywhere_are_in_no_other_form(doubt, seed):
    content, other = truth(), truth()
    draw = np.random.default_rng(seed)
    for item, image in zip(other['annotations'], content['annotations'], strict=True):
        size = next(i for i in content['images'] if i['id'] == image['image_id'])
        size = np.array([size['width'], size['height']])
        item['bbox'] = [*(draw.uniform(0, 0.6, 2) * size), *(draw.uniform(0.1, 0.4, 2) * size)]
    assert 'look like' not in doubt(content, detections(other)[0])


def test_little_tells_nothing(doubt):
    content = truth(count=3)
    found, _ = detections(content)
    corners = [item | {'bbox': FORMS['corners'](item['bbox'], None)} for item in found]
    assert doubt(content, corners) == doubt(content, []) == ''


def scaled(boxes, factor):
    return (np.array(boxes) * factor).tolist()


@pytest.mark.parametrize(
    ('change', 'name'),
    [
        (FORMS['corners'], 'corners (x1, y1, x2, y2)'),
        (FORMS['center'], 'center, width, height'),
        (FORMS['y before x'], 'y before x'),
        (
            lambda b, size: FORMS['y before x'](FORMS['corners'](b, size), size),
            'corners with y before x (y1, x1, y2, x2)',
        ),
        (lambda b, size: scaled(b, 1 / np.tile(size, 2)), 'fractions of the image'),
        (lambda b, size: scaled(b, 100 / np.tile(size, 2)), 'percent'),
        (lambda b, size: scaled(b, 1000 / np.tile(size, 2)), 'thousandths of the image'),
        (
            lambda b, size: scaled(FORMS['center'](b, size), 1 / np.tile(size, 2)),
            'center, width, height, fractions of the image',
        ),
        (
            lambda b, size: scaled(FORMS['corners'](b, size), 1000 / np.tile(size, 2)),
            'corners (x1, y1, x2, y2), thousandths of the image',
        ),
        (lambda b, size: scaled(b, 0.5), 'pixels of a photo 0.5 times as large'),
        (lambda b, size: scaled(b, 3.2), 'pixels of a photo 3.2 times as large'),
        (lambda b, size: scaled(b, 1.4), 'pixels of a photo 1.4 times as large'),
        (
            lambda b, size: scaled(FORMS['corners'](b, size), 2),
            'corners (x1, y1, x2, y2), pixels of a photo 2 times as large',
        ),
        (
            lambda b, size: scaled(FORMS['center'](b, size), 2),
            'center, width, height, pixels of a photo 2 times as large',
        ),
        (
            lambda b, size: scaled(b, 640 / max(size)),
            'pixels of a photo with a longer side of 640',
        ),
        (
            lambda b, size: scaled(b, 640 / np.tile(size, 2)),
            'pixels of a photo resized to 640 x 640',
        ),
        (
            lambda b, size: (
                np.array(scaled(b, 640 / max(size)))
                + [*((640 - np.array(size) * 640 / max(size)) / 2), 0, 0]
            ).tolist(),
            'pixels of a photo padded to 640 x 640',
        ),
    ],
)
def test_boxes_in_another_form(doubt, change, name):
    content = truth()
    found, size_of = detections(content)
    changed = [item | {'bbox': change(item['bbox'], size_of[item['image_id']])} for item in found]
    text = doubt(content, changed)
    said = text.removeprefix('its boxes look like ').partition(', instead of')[0]
    words, expected = said.split(), name.split()
    assert len(words) == len(expected), text
    for word, other in zip(words, expected, strict=True):
        if other.replace('.', '').isdigit():
            assert float(word) == pytest.approx(float(other), rel=0.02)
        else:
            assert word == other, text
    assert 'have a mean IoU of 0.' in text and '\n' not in text


def test_boxes_that_fit_nothing(doubt):
    content = truth()
    found, _ = detections(content)
    for item in found:
        item['bbox'][0] += 2000
    assert doubt(content, found) == (
        'its boxes may be in another form, or of other images: the 60 boxes that were compared have '
        'a mean IoU of 0.00 with the nearest annotated box; 100% of all boxes leave their image'
    )


@pytest.mark.parametrize(
    ('ids', 'change', 'name'),
    [
        ((1, 2, 3, 4), lambda id: id - 1, 'the place in the list of categories, counted from 0'),
        ((0, 1, 2, 3), lambda id: id + 1, 'the place in the list of categories, counted from 1'),
        ((2, 5, 3, 9), lambda id: [2, 3, 5, 9].index(id), 'the place in the .* counted from 0'),
        ((7, 8, 9, 10), lambda id: id + 1, '1 too high'),
    ],
)
def test_classes_that_are_counted_otherwise(doubt, ids, change, name):
    content = truth(ids)
    found, _ = detections(content)
    for item in found:
        item['category_id'] = change(item['category_id'])
    if not {item['category_id'] for item in found} <= set(ids):
        with pytest.raises(ReportError, match=f'they look like {name}' if name[0] == 't' else ''):
            doubt(content, found)
    known = [item for item in found if item['category_id'] in ids]
    if len({item['category_id'] for item in known}) > 1:
        text = doubt(content, known)
        assert text.startswith('its category_id looks like ') and 'then have its class' in text


@pytest.mark.parametrize(
    ('read', 'said'), [(str, 'ids as text'), (lambda id: NAMES[id - 1], 'names')]
)
def test_category_ids_that_are_text_are_mapped(doubt, capsys, read, said):
    content = truth()
    found = [item | {'category_id': read(item['category_id'])} for item in detections(content)[0]]
    assert doubt(content, found) == ''
    assert f'd.json: its category ids are {said} of' in capsys.readouterr().out
    found[0]['category_id'] = 'hat'
    with pytest.raises(ReportError, match=r"have a category id .* lacks \(first: 'hat'\)"):
        doubt(content, found)


def test_mistaken_classes_are_not_shifted(doubt):
    content = truth()
    found, _ = detections(content)
    draw = np.random.default_rng(3)
    for item in found:
        item['category_id'] = int(draw.integers(1, 5))
    assert doubt(content, found) == ''


def test_a_run_says_its_doubt(tmp_path):
    content = truth()
    found, size_of = detections(content)
    corners = [item | {'bbox': FORMS['corners'](item['bbox'], None)} for item in found]
    path = write(tmp_path / 'val.json', content)
    files = write(tmp_path / 'good.json', found), write(tmp_path / 'bad.json', corners)
    good, bad = load_runs(files, ann_file=path)
    assert good.doubt == '' and bad.doubt.startswith('its boxes look like corners')

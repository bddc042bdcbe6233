"""The DeepFashion2 converter: golden values, bad files and folders, processes."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmdet_multigrain.converters import deepfashion2 as module
from mmdet_multigrain.utils.errors import ConverterError

from .deepfashion2_release import TAXONOMY, annotation_of, item, run, write

GENUINE = (
    Path(__file__).resolve().parents[2]
    / '..'
    / 'shared'
    / 'formats'
    / 'deepfashion2_train_000001.json'
)


def test_golden_file(tmp_path):
    write(tmp_path, 2, annotation_of(item('trousers', (5, 6, 50, 66), style=0)))
    write(
        tmp_path,
        1,
        {
            'item2': item('sling dress', (-3, 0, 40, 500)),
            'source': 'shop',
            'pair_id': 3,
            'item1': item('vest'),
        },
    )
    summary, coco = run(tmp_path)
    assert summary.out_file == tmp_path / 'annotations' / 'train.json'
    assert coco['images'] == [
        {'id': 1, 'file_name': '000001.jpg', 'width': 100, 'height': 120},
        {'id': 2, 'file_name': '000002.jpg', 'width': 100, 'height': 120},
    ]
    rest = {'iscrowd': 0, 'scale': 2, 'occlusion': 1, 'zoom_in': 1, 'viewpoint': 2}
    assert coco['annotations'] == [
        {
            'id': 1,
            'image_id': 1,
            'category_id': 5,
            'bbox': [10, 20, 50, 70],
            'area': 3500,
            **rest,
            'style': 1,
            'pair_id': 3,
            'source': 'shop',
        },
        {
            'id': 2,
            'image_id': 1,
            'category_id': 13,
            'bbox': [0, 0, 40, 120],
            'area': 4800,
            **rest,
            'style': 1,
            'pair_id': 3,
            'source': 'shop',
        },
        {
            'id': 3,
            'image_id': 2,
            'category_id': 8,
            'bbox': [5, 6, 45, 60],
            'area': 2700,
            **rest,
            'style': 0,
            'pair_id': 7,
            'source': 'user',
        },
    ]
    assert [c['id'] for c in coco['categories']] == list(range(1, 14))
    assert [c['name'] for c in coco['categories']] == list(TAXONOMY.classes)
    assert [c['supercategory'] for c in coco['categories']] == (
        ['top'] * 6 + ['bottom'] * 3 + ['one-piece dress'] * 4
    )
    assert not summary.problems.counts


def test_genuine_annotation(tmp_path):
    if not GENUINE.exists():
        pytest.skip('the genuine annotation is not on this machine')
    write(tmp_path, 1, None, size=(468, 624))
    shutil.copy(GENUINE, tmp_path / 'train' / 'annos' / '000001.json')
    summary, coco = run(tmp_path, with_segmentation=True)
    first, second = coco['annotations']
    polygons = [len(a.pop('segmentation')) for a in (first, second)]
    assert polygons == [3, 3]
    assert first == {
        'id': 1,
        'image_id': 1,
        'category_id': 1,
        'bbox': [0, 29, 466, 593],
        'area': 276338,
        'iscrowd': 0,
        'scale': 3,
        'occlusion': 2,
        'zoom_in': 2,
        'viewpoint': 2,
        'style': 1,
        'pair_id': 1,
        'source': 'user',
    }
    assert second == {
        'id': 2,
        'image_id': 1,
        'category_id': 8,
        'bbox': [249, 423, 217, 200],
        'area': 43400,
        'iscrowd': 0,
        'scale': 2,
        'occlusion': 2,
        'zoom_in': 3,
        'viewpoint': 2,
        'style': 0,
        'pair_id': 1,
        'source': 'user',
    }
    assert summary.boxes == {0: 1, 7: 1}


def test_pycocotools_reads_the_file(tmp_path, capsys):
    coco_module = pytest.importorskip('pycocotools.coco')
    write(tmp_path, 1, annotation_of(item('vest'), item('skirt')))
    summary, _ = run(tmp_path)
    coco = coco_module.COCO(str(summary.out_file))
    assert len(coco.getAnnIds(catIds=[9])) == 1


def test_items_are_in_the_order_of_their_numbers(tmp_path):
    names = ['vest', 'sling'] * 6
    numbered = list(enumerate(names, 1))
    write(tmp_path, 1, dict(reversed([(f'item{n}', item(name)) for n, name in numbered])))
    _, coco = run(tmp_path)
    assert [a['category_id'] for a in coco['annotations']] == [5, 6] * 6


@pytest.mark.parametrize('with_segmentation', [False, True])
def test_same_bytes_with_any_number_of_processes(tmp_path, monkeypatch, with_segmentation):
    monkeypatch.setattr(module, 'CHUNK', 7)
    names = itertools.cycle([*TAXONOMY.classes, 'hat'])
    for number in range(50):
        write(
            tmp_path,
            number,
            annotation_of(*(item(next(names), (number / 4, 0, 90, 90)) for _ in range(number % 4))),
        )
    write(tmp_path, 20, b'{')
    summaries = [
        run(
            tmp_path,
            out_file=tmp_path / f'{workers}.json',
            workers=workers,
            with_segmentation=with_segmentation,
        )[0]
        for workers in (1, 2, 3)
    ]
    first, *others = [summary.out_file.read_bytes() for summary in summaries]
    assert others == [first, first]
    assert summaries[0].problems.counts['unknown category_name'] > 3
    texts = {str(summary).partition('\n')[2] for summary in summaries}
    assert len(texts) == 1


def test_segmentation_is_off_by_default_and_drops_what_is_no_polygon(tmp_path):
    bad = item(segmentation=[[1, 2, 3, 4], [1, 2, 3, 4, 5, 6], 'x'])
    write(tmp_path, 1, annotation_of(bad, item(segmentation=None)))
    assert all('segmentation' not in a for a in run(tmp_path)[1]['annotations'])
    summary, coco = run(tmp_path, with_segmentation=True)
    assert [a['segmentation'] for a in coco['annotations']] == [[[1, 2, 3, 4, 5, 6]], []]
    assert summary.problems.counts == {'part of segmentation that is not a polygon': 3}


BAD_ITEMS = {
    'unknown category_name': item('hat'),
    'category_id that contradicts category_name': item('vest', category_id=6),
    'bounding_box that is not four numbers': item(bounding_box=[1, 2, 3]),
    'empty or reversed bounding_box': item(bounding_box=[60, 20, 10, 90]),
    'bounding_box outside the image': item(bounding_box=[100, 0, 130, 40]),
    'item that is not a JSON object': [1, 2],
}


@pytest.mark.parametrize('kind', BAD_ITEMS)
def test_bad_item_is_counted_and_left_out(tmp_path, kind):
    write(tmp_path, 1, annotation_of(BAD_ITEMS[kind], item('sling')))
    write(tmp_path, 2, annotation_of(item('vest')))
    write(tmp_path, 3, annotation_of(BAD_ITEMS[kind]))  # nothing of it can be used
    summary, coco = run(tmp_path)
    assert summary.problems.counts == {kind: 2, 'image without a usable item': 1}
    assert '000001.json item1' in summary.problems.examples[kind][0]
    assert [image['file_name'] for image in coco['images']] == ['000001.jpg', '000002.jpg']
    assert [(a['id'], a['image_id'], a['category_id']) for a in coco['annotations']] == [
        (1, 1, 6),
        (2, 2, 5),
    ]


@pytest.mark.parametrize(
    ('kind', 'content'),
    [
        ('item that is not a JSON object', '%s'),
        ('unknown category_name', '{"category_name": %s}'),
        (
            'category_id that contradicts category_name',
            '{"category_name": "vest", "category_id": %s}',
        ),
        (
            'bounding_box that is not four numbers',
            '{"category_name": "vest", "category_id": 5, "bounding_box": %s}',
        ),
    ],
)
def test_values_nested_too_deeply_to_be_shown_are_counted(tmp_path, kind, content):
    write(tmp_path, 1, annotation_of(item('vest')))
    write(tmp_path, 2, annotation_of(item('vest')))
    nested = '[' * 1000 + ']' * 1000  # what the parser reads and repr() does not
    (tmp_path / 'train' / 'annos' / '000002.json').write_text(f'{{"item1": {content % nested}}}')
    summary, coco = run(tmp_path)
    assert summary.problems.counts == {kind: 1, 'image without a usable item': 1}
    assert len(coco['images']) == 1


def test_bad_files_are_counted_and_left_out(tmp_path):
    good = annotation_of(item('vest'))
    write(tmp_path, 1, good)
    write(tmp_path, 2, json.dumps(good).encode()[:-9])  # truncated
    write(tmp_path, 3, b'')  # empty
    write(tmp_path, 4, b'[1]')  # no object
    write(tmp_path, 5, good, size=None)  # no image
    write(tmp_path, 6, None)  # no annotation
    write(tmp_path, 7, good)
    (tmp_path / 'train' / 'image' / '000007.jpg').write_bytes(b'no image')
    write(tmp_path, 8, b'\xef\xbb\xbf' + json.dumps(good, indent=1).replace('\n', '\r\n').encode())
    (tmp_path / 'train' / 'annos' / '._000001.json').write_bytes(b'\0')  # left by an archiver
    (tmp_path / 'train' / 'image' / 'Thumbs.db').write_bytes(b'\0')
    summary, coco = run(tmp_path)
    assert summary.problems.counts == {
        'unreadable annotation file': 3,
        'annotation file without image': 1,
        'image without annotation file': 1,
        'unreadable image': 1,
    }
    assert [image['file_name'] for image in coco['images']] == ['000001.jpg', '000008.jpg']
    assert [image['id'] for image in coco['images']] == [1, 2]
    text = str(summary)
    assert '3 x unreadable annotation file: 000002.json' in text
    assert '1 x annotation file without image: 000005.json' in text


def test_only_the_first_examples_are_listed(tmp_path):
    write(tmp_path, 1, annotation_of(item('vest'), *[item('hat')] * 5))
    summary, _ = run(tmp_path)
    assert summary.problems.counts['unknown category_name'] == 5
    assert len(summary.problems.examples['unknown category_name']) == 3
    assert str(summary).endswith('; ...')


def test_image_without_items_is_kept(tmp_path):
    write(tmp_path, 1, annotation_of(item('vest')))
    write(tmp_path, 2, {'source': 'user', 'pair_id': 1})
    assert [image['id'] for image in run(tmp_path)[1]['images']] == [1, 2]


def test_names_with_blanks_and_letters_beyond_ascii(tmp_path):
    write(tmp_path, 1, annotation_of(item('vest')), suffix='.JPG')
    for kind, suffix in (('image', '.JPG'), ('annos', '.json')):
        folder = tmp_path / 'train' / kind
        (folder / f'000001{suffix}').rename(folder / f'schönes Kleid{suffix}')
    assert run(tmp_path)[1]['images'][0]['file_name'] == 'schönes Kleid.JPG'


def test_summary_counts_boxes_and_images(tmp_path):
    write(tmp_path, 1, annotation_of(item('vest'), item('vest'), item('skirt')))
    write(tmp_path, 2, annotation_of(item('vest')))
    summary, _ = run(tmp_path)
    lines = [line.split() for line in str(summary).splitlines()]
    assert ['vest', 'top', '3', '2'] in lines
    assert ['skirt', 'bottom', '1', '1'] in lines
    assert ['sling', 'dress', 'one-piece', 'dress', '0', '0'] in lines


@pytest.mark.parametrize('missing', ['train/image', 'train/annos', 'train', '.'])
def test_missing_folder_names_the_layout(tmp_path, missing):
    root = tmp_path / 'root'
    write(root, 1, annotation_of(item('vest')))
    shutil.rmtree(root / missing)
    with pytest.raises(ConverterError, match='no such folder; DeepFashion2 is unpacked as') as e:
        run(root)
    assert '\n' not in str(e.value)
    assert not (root / 'annotations').exists()


def test_no_box_left_is_an_error_with_the_first_problem(tmp_path):
    write(tmp_path, 1, annotation_of(item('hat')))
    with pytest.raises(
        ConverterError,
        match='no usable box in 1 files; first problem: unknown '
        "category_name: 000001.json item1 'hat'",
    ):
        run(tmp_path)
    assert not (tmp_path / 'annotations').exists()


def test_second_file_of_the_same_name_is_counted(tmp_path):
    write(tmp_path, 1, annotation_of(item('vest')), suffix='.png', size=(90, 95))
    write(tmp_path, 1, None)
    summary, coco = run(tmp_path)
    assert [image['file_name'] for image in coco['images']] == ['000001.jpg']
    assert summary.problems.examples == {
        'second file of the same name': ['000001.png (000001.jpg is used)']
    }


def test_name_that_is_not_utf8_is_counted(tmp_path):
    write(tmp_path, 1, annotation_of(item('vest')))
    folder = os.fsencode(tmp_path / 'train' / 'image')
    try:
        shutil.copy(folder + b'/000001.jpg', folder + b'/\xff.jpg')
    except OSError:
        pytest.skip('this file system has UTF-8 names only')
    summary, _ = run(tmp_path)
    assert summary.problems.examples == {'file name that is not UTF-8': ['\\udcff.jpg']}
    str(summary).encode()


def test_folders_named_like_files_are_counted(tmp_path):
    write(tmp_path, 1, annotation_of(item('vest')))
    write(tmp_path, 2, annotation_of(item('vest')), size=None)
    (tmp_path / 'train' / 'image' / '000002.jpg').mkdir()
    write(tmp_path, 3, None)
    (tmp_path / 'train' / 'annos' / '000003.json').mkdir()
    summary, _ = run(tmp_path)
    assert summary.problems.examples == {
        'unreadable image': ['000002.jpg (Is a directory)'],
        'unreadable annotation file': ['000003.json (Is a directory)'],
    }


@pytest.mark.parametrize('name', ['deepfashion2', 'synthetic_deepfashion2'])
def test_imports_without_torch_and_mmdet(name):
    code = (
        f'import sys, mmdet_multigrain.converters.{name}; '
        'sys.exit(bool({"torch", "mmcv", "mmengine", "mmdet"} & set(sys.modules)))'
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, '-c', code], cwd=root, check=True)

"""The Open Images converter: golden values, bad rows, image sizes, numbers of the paper."""

import os
import shutil
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from mmdet_multigrain.converters import openimages as module
from mmdet_multigrain.converters.openimages_hierarchy import Hierarchy
from mmdet_multigrain.converters.openimages_selection import load_selection, select
from mmdet_multigrain.taxonomy import Taxonomy

from .openimages_release import HEADER, SELECTION, fails, row, run, write

GENUINE = (
    Path(__file__).resolve().parents[2].parent
    / 'shared'
    / 'formats'
    / 'openimages_v4_train_rows.csv'
)


def test_golden_file(tmp_path):
    summary, coco = run(
        tmp_path,
        row('b', '/m/hat', (0, 1, 0.5, 1), (1, 0, 1, 0, -1)),
        row('a', '/m/coat', (0.1, 0.35, 0.2, 0.4), (-1, 1, 0, 1, 0)),
        row('a', '/m/dog'),
        row('b', '/m/shirt', (-0.5, 0.123456, 0.9, 7)),
    )
    assert coco['images'] == [
        {'id': 1, 'file_name': 'a.jpg', 'width': 100, 'height': 200},
        {'id': 2, 'file_name': 'b.jpg', 'width': 50, 'height': 50},
    ]
    assert coco['categories'] == [
        {'id': 1, 'name': 'shirt', 'supercategory': 'top'},
        {'id': 2, 'name': 'coat', 'supercategory': 'top'},
        {'id': 3, 'name': 'hat', 'supercategory': 'hat'},
    ]
    rest = {'confidence': 1.0, 'source': 'xclick'}
    assert coco['annotations'] == [
        {
            'id': 1,
            'image_id': 1,
            'category_id': 2,
            'bbox': [10, 40, 25, 40],
            'area': 1000,
            'iscrowd': 0,
            'is_occluded': -1,
            'is_truncated': 1,
            'is_group_of': 0,
            'is_depiction': 1,
            'is_inside': 0,
            **rest,
        },
        {
            'id': 2,
            'image_id': 2,
            'category_id': 3,
            'bbox': [0, 25, 50, 25],
            'area': 1250,
            'iscrowd': 1,
            'is_occluded': 1,
            'is_truncated': 0,
            'is_group_of': 1,
            'is_depiction': 0,
            'is_inside': -1,
            **rest,
        },
        {
            'id': 3,
            'image_id': 2,
            'category_id': 1,
            'bbox': [0, 45, 6.173, 5],
            'area': 30.865,
            'iscrowd': 0,
            'is_occluded': 0,
            'is_truncated': 0,
            'is_group_of': 0,
            'is_depiction': 0,
            'is_inside': 0,
            **rest,
        },
    ]
    assert (summary.boxes, summary.images) == ({0: 1, 1: 1, 2: 1}, {0: 1, 1: 1, 2: 1})
    assert summary.num_images == 2 and not summary.problems.counts
    assert os.listdir(tmp_path / 'out') == ['train.json']


def test_genuine_rows(tmp_path):
    if not GENUINE.is_file():
        pytest.skip('the genuine rows (../shared/formats) are not there')
    shutil.copy(GENUINE, tmp_path / 'train.csv')
    ids = sorted({line.split(',')[0] for line in GENUINE.read_text().splitlines()[1:]})
    (tmp_path / 'sizes.csv').write_text(
        'ImageID,Width,Height\n' + ''.join(f'{name},1024,768\n' for name in ids)
    )
    label_name = GENUINE.read_text().splitlines()[1].split(',')[2]
    tree = Taxonomy.load({'name': 'one', 'classes': ['it'], 'aliases': {'it': [label_name]}})
    summary, coco = run(tmp_path, selection=select(tree))
    assert len(coco['annotations']) == 10 and len(coco['images']) == len(ids)
    assert coco['images'][0]['file_name'] == '00007902a7b96e8c.jpg'
    # 0.243542 and 0.434502 of 1024, 0.805204 and 0.90225 of 768.
    assert coco['annotations'][0]['bbox'] == [249.387, 618.397, 195.543, 74.531]


@pytest.mark.parametrize(
    'header',
    [
        'XMax,YMin,ImageID,XMin,LabelName,YMax',
        'imageid,LABELNAME,xmin,xmax,ymin,ymax',
        'ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,'
        'IsDepiction,IsInside,XClick1X,XClick2X,XClick3X,XClick4X,XClick1Y,XClick2Y',
    ],
)
def test_columns_are_found_by_name(tmp_path, header):
    values = {
        'imageid': 'a',
        'labelname': '/m/hat',
        'xmin': '0.25',
        'xmax': '0.5',
        'ymin': '0',
        'ymax': '1',
        'isgroupof': '1',
    }
    _, coco = run(
        tmp_path,
        ','.join(values.get(name.lower(), '0') for name in header.split(',')),
        header=header,
    )
    (annotation,) = coco['annotations']
    assert annotation['bbox'] == [25, 0, 25, 200] and annotation['category_id'] == 3
    assert annotation['iscrowd'] == ('IsGroupOf' in header)
    assert ('source' in annotation) == ('Source' in header)


def test_windows_line_ends_byte_order_mark_and_quotes_change_nothing(tmp_path):
    write(tmp_path, row(), row('b', '/m/hat'))
    plain = run(tmp_path)[1]
    content = (tmp_path / 'train.csv').read_text()
    for changed in (
        content.replace('\n', '\r\n'),
        '\ufeff' + content,
        content.rstrip(),
        '\n'.join(
            ','.join(f'"{field}"' for field in line.split(',')) for line in content.splitlines()
        ),
    ):
        (tmp_path / 'train.csv').write_bytes(changed.encode())
        assert run(tmp_path)[1] | {'info': plain['info']} == plain


def test_boxes_of_groups_can_be_left_out(tmp_path):
    rows = [
        row('a'),
        row('a', flags=(0, 0, 1, 0, 0)),
        row('b', flags=(0, 0, 1, 0, 0)),
        row('a', flags=(0, 0, -1, 0, 0)),
    ]
    summary, coco = run(tmp_path, *rows, group_of='drop')
    assert [a['is_group_of'] for a in coco['annotations']] == [0, -1]
    assert len(coco['images']) == 1 and not any(a['iscrowd'] for a in coco['annotations'])
    assert summary.problems.counts == {'box of a group (--group-of drop)': 2}
    assert sum(a['iscrowd'] for a in run(tmp_path, *rows)[1]['annotations']) == 2


def test_groups_cannot_be_left_out_where_they_are_not_known(tmp_path):
    header = 'ImageID,LabelName,XMin,XMax,YMin,YMax'
    line = fails(tmp_path, 'a,/m/hat,0,1,0,1', header=header, group_of='drop')
    assert 'no column IsGroupOf' in line


def test_boxes_of_superclasses_are_counted(tmp_path):
    tree = Hierarchy(
        '/m/all',
        {
            '/m/all': ('/m/top', '/m/hat', '/m/dog'),
            '/m/top': ('/m/shirt', '/m/coat'),
            '/m/shirt': (),
            '/m/coat': (),
            '/m/hat': (),
            '/m/dog': (),
        },
        {'/m/top': 'Top'},
    )
    summary, coco = run(
        tmp_path,
        row(),
        row('b', '/m/top'),
        row('a', '/m/top'),
        row('a', '/m/all'),
        selection=select(SELECTION.taxonomy, hierarchy=tree),
    )
    assert len(coco['annotations']) == 1
    assert summary.problems.counts == {'box of a superclass only': 2}
    assert summary.problems.examples['box of a superclass only'][0] == 'train.csv line 3 Top'


BAD_ROWS = {
    'row with a wrong number of fields': ['a,xclick,/m/shirt,1,0.1', row() + ',0', 'a'],
    'row without an ImageID': [row(''), row(' ')],
    'ImageID that is not a file name': [row('../../x'), row('/etc/x'), row('..\\x'), row('a/b')],
    'coordinate that is not a number': [
        row(box=(value, 0.5, 0.2, 0.4))
        for value in ('nan', 'inf', '-inf', '', 'x', '1e999', '0.1.2', '\x00', '0.1 0.2')
    ],
    'empty or reversed box': [
        row(box=(0.5, 0.1, 0.2, 0.4)),
        row(box=(0.1, 0.1, 0.2, 0.4)),
        row(box=(0.1, 0.5, 0.4, 0.4)),
    ],
    'box outside the image': [
        row(box=(1, 1.5, 0, 1)),
        row(box=(-0.5, 0, 0, 1)),
        row(box=(0, 1, -2, -1)),
        row(box=(0, 1, 1, 1.1)),
    ],
    'IsTruncated that is not 1, 0 or -1': [
        row(flags=(0, value, 0, 0, 0)) for value in ('2', '', 'x', 'nan', '0.5')
    ],
    'Confidence that is not a number': [row().replace(',1,', ',high,'), row().replace(',1,', ',,')],
    'box narrower than 0.001 px': [row(box=(0.5, 0.500001, 0.1, 0.2))],
}


@pytest.mark.parametrize('kind', BAD_ROWS)
def test_bad_rows_are_counted_with_their_lines(tmp_path, kind):
    good = [row(), row('b', '/m/hat')] * len(BAD_ROWS[kind])
    rows = [*good[:2], *BAD_ROWS[kind], *good[2:]]
    summary, coco = run(tmp_path, *rows)
    assert len(coco['annotations']) == len(good)
    assert summary.problems.counts == {kind: len(BAD_ROWS[kind])}
    examples = summary.problems.examples[kind]
    for number, example in enumerate(examples, start=4):
        assert example.startswith(f'train.csv line {number}')
    assert len(examples) == min(3, len(BAD_ROWS[kind]))
    assert f'{len(BAD_ROWS[kind])} x {kind}: train.csv line 4' in str(summary)


def test_a_cut_file_loses_its_last_row_only(tmp_path):
    write(tmp_path, row(), row('b', '/m/hat'), row('b', '/m/coat'))
    content = (tmp_path / 'train.csv').read_bytes()
    (tmp_path / 'train.csv').write_bytes(content[:-20])
    summary, coco = run(tmp_path)
    assert len(coco['annotations']) == 2
    assert summary.problems.examples == {
        'row with a wrong number of fields': ['train.csv line 4 (6, not 13)']
    }


def test_swapped_columns_are_refused(tmp_path):
    boxes = [(0.1, 0.2, 0.5, 0.6), (0.7, 0.1, 0.9, 0.3), (0.3, 0.6, 0.5, 0.9)]
    swapped = [row(box=box) for box in boxes]  # XMin, YMin, XMax, YMax below the usual header
    line = fails(tmp_path, *swapped[1:2], *swapped)
    assert '2 of 4 boxes have XMin > XMax or YMin > YMax; the columns look swapped' in line


def test_pixels_are_refused(tmp_path):
    assert 'look like pixels' in fails(tmp_path, row(box=(10, 50, 20, 80)), row())


def test_missing_columns_are_named(tmp_path):
    line = fails(tmp_path, row(), header=HEADER.replace('XMax', 'X2').replace('ImageID', 'Image'))
    assert line.startswith(f'{tmp_path / "train.csv"}: no column ImageID, XMax;')


def test_files_without_a_wanted_box_are_refused(tmp_path):
    assert 'no usable box' in fails(tmp_path, row('a', '/m/dog'))
    write(tmp_path, header='')
    assert 'first line is empty' in fails(tmp_path)
    write(tmp_path)
    assert "no usable box of the 3 classes of 'small', that is, with LabelName '/m/shirt'" in (
        fails(tmp_path)
    )
    assert 'first problem: empty or reversed box: train.csv line 2' in fails(
        tmp_path, row(box=(0.1, 0.1, 0, 1))
    )


def test_one_place_for_image_sizes_is_needed(tmp_path):
    assert '--images or --image-sizes' in fails(tmp_path, row(), image_sizes=None)
    assert '--images or --image-sizes' in fails(tmp_path, row(), images=tmp_path)


# ---------------------------------------------------------------------------- images


def test_sizes_of_images_in_a_folder(tmp_path):
    (tmp_path / 'train').mkdir()
    Image.new('RGB', (100, 200)).save(tmp_path / 'train' / 'a.jpg')
    turned = Image.new('RGB', (40, 30))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / 'train' / 'b.jpg', exif=exif)
    (tmp_path / 'train' / 'c.jpg').write_bytes(b'no image')
    rows = [row(name) for name in 'abcde']
    summary, coco = run(tmp_path, *rows, image_sizes=None, images=tmp_path / 'train')
    assert [(i['file_name'], i['width'], i['height']) for i in coco['images']] == [
        ('a.jpg', 100, 200),
        ('b.jpg', 30, 40),
    ]
    counts = {kind.split(':')[0]: count for kind, count in summary.problems.counts.items()}
    assert counts == {
        'image that is not in the folder': 2,
        'unreadable image': 1,
        'image that EXIF turns': 1,
    }
    assert summary.rows == {0: 5} and summary.boxes == {0: 2}


def test_images_that_are_missing_are_listed(tmp_path):
    summary, coco = run(tmp_path, *(row(name) for name in 'zyxwvab'))
    listed = tmp_path / 'out' / 'train.json.missing.txt'
    assert listed.read_text() == 'v.jpg\nw.jpg\nx.jpg\ny.jpg\nz.jpg\n'
    assert summary.missing_file == listed and str(listed) in str(summary)
    assert summary.problems.counts == {'image without a size in sizes.csv': 5}
    assert summary.problems.examples['image without a size in sizes.csv'] == [
        'v.jpg',
        'w.jpg',
        'x.jpg',
    ]
    summary, coco = run(tmp_path, *(row(name) for name in 'zyab'))
    assert summary.missing_file is None and not listed.exists()  # the examples show both


def test_no_image_at_all_is_refused(tmp_path):
    (tmp_path / 'images').mkdir()
    line = fails(tmp_path, row(), row('b'), image_sizes=None, images=tmp_path / 'images')
    assert 'has the size of none of the 2 images with boxes; first problem: image that is ' in line
    line = fails(tmp_path, row(), image_sizes=None, images=tmp_path / 'none')
    assert 'no folder of images (No such file or directory)' in line


# ---------------------------------------------------------------------------- the paper


@pytest.mark.parametrize(
    ('split', 'counts', 'lines'),
    [
        (
            'train',
            (30, 12),
            [
                'boxes of all 40 classes: 42 in the CSV file, 42 in the paper: they agree',
                'boxes of the 30 grouped classes: 30 in the CSV file, 31 in the paper: '
                'they differ by -1',
            ],
        ),
        (
            'validation',
            (2, 1),
            ['boxes of all 40 classes: 3 in the CSV file, 4 in the paper: they differ by -1'],
        ),
        ('test', (2, 1), []),
    ],
)
def test_comparison_with_the_paper(tmp_path, monkeypatch, split, counts, lines):
    monkeypatch.setattr(module, 'PAPER_BOXES', {'train': (42, 31), 'validation': (4, None)})
    summary, _ = run(
        tmp_path,
        *[row('a', '/m/01n4qj')] * counts[0],
        *[row('missing', '/m/0hnnb')] * counts[1],  # umbrella has no group
        selection=load_selection(),
        split=split,
    )
    assert [line for line in str(summary).splitlines() if 'in the paper' in line] == lines


def test_the_papers_numbers():
    table = Path(__file__).resolve().parents[2].parent / 'shared/paper/table4_oiv4c_per_class.csv'
    if not table.is_file():
        pytest.skip('the paper (../shared/paper) is not there')
    rows = pl.read_csv(table)
    taxonomy = Taxonomy.load('openimages_v4_clothing')
    grouped = {name for name, path in zip(taxonomy.classes, taxonomy.paths, strict=True) if path}
    assert {taxonomy.classes[taxonomy.label_of(name)] for name in rows['category']} == grouped
    assert module.PAPER_BOXES['train'][1] == rows['train_boxes'].sum()


def test_other_classes_are_not_compared_with_the_paper(tmp_path):
    assert 'in the paper' not in str(run(tmp_path, row())[0])

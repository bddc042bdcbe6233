"""tools/analysis_tools/dataset_stats.py: the screen, the files it writes, wrong input."""

from __future__ import annotations

import csv
import io
import json
import sys
import xml.etree.ElementTree

import pytest
from PIL import Image

from .conftest import REPOSITORY, call, start

TABLES = ['classes.csv', 'dataset_stats.json', 'dataset_stats.md', 'superclasses.csv']
FIGURES = ['box_sizes', 'class_counts', 'grouping']


def stats(*arguments):
    return call('analysis_tools/dataset_stats', *arguments)


@pytest.fixture(scope='module')
def train(garment_data):
    return garment_data / 'annotations' / 'train.json'


@pytest.fixture(scope='module')
def validation(garment_data):
    return garment_data / 'annotations' / 'validation.json'


@pytest.fixture(scope='module')
def written(train, validation, tmp_path_factory):
    """One call that writes everything: its folder and its screen."""
    out = tmp_path_factory.mktemp('stats') / 'new' / 'folder'
    result = stats(train, validation, '--compare-paper', 'df2', '--out', out)
    assert result.status == 0, result.err
    return out, result


def write(path, content):
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def small(tmp_path):
    """A COCO file of three classes."""
    return write(
        tmp_path / 'small.json',
        {
            'images': [{'id': 1, 'width': 90, 'height': 90}],
            'categories': [
                {'id': 1, 'name': '短袖 | top', 'supercategory': '上衣'},
                {'id': 2, 'name': 'skirt', 'supercategory': 'bottom'},
                {'id': 3, 'name': 'vest', 'supercategory': '上衣'},
            ],
            'annotations': [
                {'id': 1, 'image_id': 1, 'category_id': number, 'bbox': [0, 0, 5, 5]}
                for number in (1, 1, 2, 3)
            ],
        },
    )


def test_all_files_are_there_and_whole(written):
    out, result = written
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [
            *TABLES,
            'paper_counts.csv',
            *(f'{name}.{kind}' for name in FIGURES for kind in ('png', 'svg')),
        ]
    )
    for name in FIGURES:
        with Image.open(out / f'{name}.png') as image:
            image.load()
            assert 700 < image.width < 3000
        root = xml.etree.ElementTree.parse(out / f'{name}.svg').getroot()
        assert root.tag.endswith('svg')
    assert str(out) in result.out.splitlines()[-1]


def test_numbers_are_those_of_the_files(written, train, validation):
    out, _ = written
    rows = {
        row['class']: row for row in csv.DictReader(io.StringIO((out / 'classes.csv').read_text()))
    }
    for path, column in ((train, 'train_boxes'), (validation, 'validation_boxes')):
        coco = json.loads(path.read_bytes())
        for category in coco['categories']:
            expected = sum(item['category_id'] == category['id'] for item in coco['annotations'])
            assert int(rows[category['name']][column]) == expected
    content = json.loads((out / 'dataset_stats.json').read_bytes())
    assert [split['name'] for split in content['splits']] == ['train', 'validation']
    assert content['paper']['dataset'] == 'df2'


def test_the_same_bytes_each_time(written, train, validation, tmp_path):
    out, result = written
    again = stats(train, validation, '--compare-paper', 'df2', '--out', tmp_path)
    assert again.out.replace(str(tmp_path), str(out)) == result.out
    for path in out.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_screen_names_the_papers_sum(written):
    _, result = written
    assert 'the paper 312,186: differs by -' in result.out
    assert 'rarest 30% (3 of 13 classes, by boxes in train)' in result.out


def test_without_out_nothing_is_written(small, tmp_path):
    result = stats(small, '--oversample-thr', '0.5', '0.25', '0.5')
    assert result.status == 0 and not result.err
    assert '短袖 | top  上衣' in result.out
    assert result.out.splitlines()[0].split()[-4:] == ['r', '0.25', 'r', '0.5']
    assert [path.name for path in tmp_path.iterdir()] == ['small.json']


def test_letters_without_a_font_are_told(small, tmp_path):
    result = stats(small, '--out', tmp_path / 'out')
    assert result.status == 0
    assert (tmp_path / 'out' / 'grouping.png').is_file()
    if result.err:  # where no East Asian font is installed
        assert result.err.startswith('no font here has') and result.err.count('\n') == 1


def test_without_superclasses_there_is_no_figure_of_them(small, tmp_path):
    content = json.loads(small.read_bytes())
    for category in content['categories']:
        del category['supercategory']
    path = write(tmp_path / 'flat.json', content)
    assert stats(path, '--out', tmp_path / 'out').status == 0
    assert not (tmp_path / 'out' / 'grouping.png').exists()
    assert (tmp_path / 'out' / 'class_counts.png').is_file()


def test_files_of_one_name_are_told_apart(small, tmp_path):
    others = []
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        others.append(tmp_path / name / 'all.json')
        others[-1].write_bytes(small.read_bytes())
    result = stats(*others)
    assert result.out.splitlines()[0].split()[3:5] == ['a/all', 'b/all']
    assert 'given twice; name it once' in stats(others[0], others[0]).error()
    old = others[0].with_suffix('.old')
    old.write_bytes(small.read_bytes())
    assert stats(others[0], old).out.splitlines()[0].split()[3:5] == ['all.json', 'all.old']


def test_a_large_file_is_announced(small):
    content = json.loads(small.read_bytes())
    content['info'] = 'x' * 20_000_000
    write(small, content)
    result = stats(small)
    assert result.status == 0 and result.err == f'reading {small} (20 MB) ...\n'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'annotations': []}, 'it has no annotations'),
        ({'annotations': None}, "no list 'annotations'"),
        ({'categories': []}, "'categories' is empty"),
        (
            {'annotations': [{'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 0, 0]}]},
            'none of its 1 boxes can be trained on',
        ),
    ],
)
def test_content_without_boxes(small, change, message):
    write(small, json.loads(small.read_bytes()) | change)
    line = stats(small).error()
    assert line.startswith(f'error: {small}: ') and message in line


def test_wrong_files(tmp_path, small):
    assert 'nowhere.json: no such annotation file' in stats(tmp_path / 'nowhere.json').error()
    (tmp_path / 'cut.json').write_bytes(small.read_bytes()[:50])
    assert 'cut.json: not valid JSON' in stats(tmp_path / 'cut.json').error()
    assert 'this is a folder' in stats(tmp_path).error()


def test_wrong_taxonomies(small, train):
    assert (
        "1 of 3 categories not in taxonomy 'deepfashion2'"
        in stats(small, '--taxonomy', 'deepfashion2').error()
    )
    assert "did you mean 'deepfashion2'" in stats(small, '--taxonomy', 'deepfashion').error()
    # The second file has classes that the first, whose categories are the taxonomy, lacks.
    assert (
        f"{train}: 11 of 13 categories not in taxonomy 'small.json'" in stats(small, train).error()
    )
    assert 'none of its classes is one of oiv4c' in stats(small, '--compare-paper', 'oiv4c').error()


@pytest.mark.parametrize('name', ['dataset_stats.json', 'classes.csv', 'box_sizes.png'])
def test_files_of_other_commands_stay(small, tmp_path, name):
    out = tmp_path / 'out'
    out.mkdir()
    (out / name).write_text('mine')
    result = stats(small, '--out', out)
    line = f'error: {out / name}: already exists, from another command'
    assert result.status == 2 and result.err.splitlines()[-1].startswith(line)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == 'mine'
    assert stats(small, '--out', out, '--force').status == 0
    assert stats(small, '--out', out).status == 0  # its own


def test_a_folder_that_cannot_be_written(small, tmp_path):
    (tmp_path / 'file').touch()
    result = stats(small, '--out', tmp_path / 'file')
    assert result.status == 2
    assert result.err.splitlines()[-1].startswith(f'error: {tmp_path / "file"}')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'small.json']


@pytest.mark.parametrize(
    'arguments',
    [
        ['--oversample-thr', '0'],
        ['--oversample-thr', 'nan'],
        ['--oversample-thr', 'much'],
        ['--oversample-thr', '2'],
        ['--compare-paper', 'coco'],
        ['--draw'],
    ],
)
def test_wrong_options(small, arguments):
    result = stats(small, *arguments)
    assert result.status == 2 and 'error: ' in result.err.splitlines()[-1]


def test_real_photos(ccp, tmp_path):
    result = stats(ccp / 'train.json', ccp / 'val.json', '--out', tmp_path)
    assert result.status == 0, result.err
    assert 'train: 704 images (0 without boxes), 3,708 boxes of 44 classes' in result.out
    assert 'imbalance 92 : 1 (shoes 550, sneakers 6)' in result.out


def test_a_name_that_the_terminal_cannot_show(train, tmp_path):
    content = json.loads(train.read_bytes())
    content['categories'][0]['name'] = 'Röcke'
    path = write(tmp_path / 'train.json', content)
    result = start(
        sys.executable,
        REPOSITORY / 'tools' / 'analysis_tools' / 'dataset_stats.py',
        path,
        '--out',
        tmp_path / 'out',
        PYTHONIOENCODING='ascii',
    )
    assert result.status == 0, result.err
    assert r'R\xf6cke' in result.out
    assert 'Röcke' in (tmp_path / 'out' / 'dataset_stats.md').read_text(encoding='utf-8')

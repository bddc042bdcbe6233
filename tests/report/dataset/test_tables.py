"""Statistics as tables and text."""

import csv
import io
import json

import pytest

from mmdet_multigrain.report.dataset.paper_counts import compare_counts
from mmdet_multigrain.report.dataset.tables import (
    class_table,
    coarse_table,
    render_markdown,
    render_text,
    resampling_table,
    split_lines,
    superclass_table,
    superclass_tables,
    to_dict,
)
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.taxonomy import Taxonomy


@pytest.fixture
def other(content):
    """A second file: one shirt, no vest, the skirt no category."""
    return {
        'images': content['images'],
        'categories': content['categories'][:2],
        'annotations': content['annotations'][:1],
    }


def read_csv(table):
    return list(csv.DictReader(io.StringIO(table.csv())))


def test_class_table_by_hand(content, stats_of):
    rows = read_csv(class_table(stats_of(content, thresholds=[1.0])))
    assert [row['class'] for row in rows] == ['shirt', 'vest', 'skirt', 'hat']
    shirt, vest, skirt, hat = rows
    assert (shirt['superclass'], shirt['boxes'], shirt['images']) == ('top', '3', '2')
    assert (shirt['small'], shirt['medium'], shirt['large']) == ('2', '0', '1')
    assert float(shirt['small_share']) == pytest.approx(2 / 3)
    assert float(shirt['size_px_q50']) == 20 and float(shirt['size_relative_q50']) == 0.2
    # In 2 of the 3 images with boxes.
    assert float(vest['repeat_1']) == pytest.approx(1.5**0.5)
    # No category of that name: unknown, not 0.
    assert (hat['superclass'], hat['boxes'], hat['size_px_q50'], hat['rare']) == (
        '',
        '',
        '',
        'false',
    )
    assert skirt['rare'] == 'true'


def test_several_files_stand_side_by_side(content, other, stats_of):
    stats = stats_of(content, other)
    rows = {row['class']: row for row in read_csv(class_table(stats))}
    boxes = {name: (row['train_boxes'], row['val_boxes']) for name, row in rows.items()}
    assert boxes == {'shirt': ('3', '1'), 'vest': ('2', '0'), 'skirt': ('1', ''), 'hat': ('', '')}
    lines = split_lines(stats)
    assert '  no boxes: vest' in lines
    assert '  not among its categories: skirt, hat' in lines
    first = render_text(stats).splitlines()[0].split()
    assert first[:5] == ['class', 'superclass', 'rare', 'train', 'val']


def test_superclasses(content, other, stats_of):
    rows = read_csv(superclass_table(stats_of(content, other)))
    assert [
        (row['superclass'], row['classes'], row['train_boxes'], row['val_boxes']) for row in rows
    ] == [('top', '2', '5', '1'), ('bottom', '1', '1', '0'), ('hat', '1', '0', '0')]
    assert float(rows[0]['train_share']) == pytest.approx(5 / 6)


def test_every_level_has_a_table(content, stats_of):
    body = {'upper': ['shirt', 'Weste'], 'lower': ['skirt']}
    deep = Taxonomy.load({'groups': {'body': body, 'head': ['hat']}})
    stats = stats_of(content, taxonomy=deep)
    coarse, fine = superclass_tables(stats)
    assert [row['superclass'] for row in read_csv(coarse)] == ['body', 'head']
    rows = {row['level 1 group']: row for row in read_csv(fine)}
    assert (rows['upper']['classes'], rows['upper']['boxes']) == ('2', '5')
    assert (rows['lower']['classes'], rows['lower']['boxes']) == ('1', '1')
    for text in (render_text(stats), render_markdown(stats)):
        assert text.count('level 1 group') == 1
    (split,) = to_dict(stats)['splits']
    assert [row['name'] for row in split['superclasses']] == ['body', 'head']
    assert [[row['boxes'] for row in level] for level in split['finer_levels']] == [[5, 1, 0]]


def test_a_table_for_each_level_of_each_tree(content, stats_of):
    kind, season = {'top': ['shirt', 'Weste'], 'bottom': ['skirt']}, {'summer': ['shirt', 'skirt']}
    taxonomy = Taxonomy.load({'trees': {'kind': kind, 'season': season}, 'ungrouped': ['hat']})
    first, second = map(read_csv, superclass_tables(stats_of(content, taxonomy=taxonomy)))
    assert [row['level 0 (kind) group'] for row in first] == ['top', 'bottom', 'hat']
    rows = {row['level 1 (season) group']: row['boxes'] for row in second}
    assert rows == {'summer': '4', 'Weste': '2', 'hat': '0'}


def test_superclasses_are_left_out_where_there_are_none(content, stats_of):
    flat = Taxonomy('flat', ['shirt', 'Weste', 'skirt'])
    text = render_text(stats_of(content, taxonomy=flat))
    assert 'superclass' not in text and 'rarest 30% (1 of 3' in text


def test_lines_by_hand(content, stats_of):
    content['annotations'].append({})
    lines = split_lines(stats_of(content))
    assert lines == [
        'train: 4 images (1 without boxes), 6 boxes of 3 classes',
        '  boxes per image: mean 1.50, median 1, most 3 (0: 25%, 1: 25%, 2: 25%, 3: 25%)',
        '  imbalance 3 : 1 (shirt 3, skirt 1)',
        '  not among its categories: hat',
        '  left out:',
        '    1 x annotation with unknown category_id: annotations[6] has None',
        'rarest 30% (1 of 3 classes, by boxes in train), marked *: skirt',
    ]


def test_few_images_are_not_shown_as_none(content, stats_of):
    content['images'] += [{'id': n, 'width': 9, 'height': 9} for n in range(100, 700)]
    line = split_lines(stats_of(content))[1]
    assert '(0: 100%, 1: < 1%, 2: < 1%, 3: < 1%)' in line and 'median 0' in line


def test_resampling(content, stats_of):
    rows = read_csv(resampling_table(stats_of(content, thresholds=[0.1, 1.0])))
    assert [row['threshold'] for row in rows] == ['0.1', '1.0']
    assert [row['repeated'] for row in rows] == ['0', '3']
    # Factors of the images: sqrt(3 / 2), sqrt(3), sqrt(3 / 2), all rounded up.
    assert [row['epoch'] for row in rows] == ['3', '6']
    assert [float(row['growth']) for row in rows] == [1, 2]


def test_json_holds_everything(content, other, stats_of, taxonomy):
    stats = stats_of(content, other)
    counts = compare_counts(load_paper('df2'), taxonomy, stats.train.counts, [0] * 4, source='f')
    value = json.loads(json.dumps(to_dict(stats, counts), allow_nan=False))
    assert [split['boxes'] for split in value['splits']] == [6, 1]
    assert value['splits'][0]['classes'][3] == {
        'name': 'hat',
        'superclass': None,
        'listed': False,
        'boxes': 0,
        'images': 0,
        'crowds': 0,
        'small': 0,
        'medium': 0,
        'large': 0,
        'size_px': None,
        'size_relative': None,
    }
    assert value['splits'][0]['superclasses'][0]['boxes'] == 5
    assert value['rarest'] == {'counted_on': 'train', 'classes': ['skirt']}
    assert [each['oversample_thr'] for each in value['class_balanced_sampling']] == [
        0.001,
        0.01,
        0.1,
    ]
    assert value['paper']['sums'][0]['difference'] == 3 - 312_186  # 2 vests, 1 skirt


def test_markdown_has_every_part(content, stats_of, taxonomy):
    stats = stats_of(content)
    counts = compare_counts(load_paper('df2'), taxonomy, stats.train.counts, [0] * 4, source='f')
    text = render_markdown(stats, counts)
    for heading in (
        '# Statistics: train',
        '## Classes',
        '## Superclasses',
        '## Class-balanced sampling',
        '## Compared with the paper (df2, "Num")',
    ):
        assert f'{heading}\n' in text
    assert '| shirt | top |  | 3 | 2 | 67% | 0% | 33% |' in text
    assert text.endswith('```\n') and '\n\n\n' not in text


def test_boxes_with_a_superclass_only(content, stats_of):
    plain = stats_of(content)
    assert coarse_table(plain).rows == [] and 'superclass only' not in render_text(plain)
    val = json.loads(json.dumps(content))
    val['categories'] += [{'id': 8, 'name': 'top'}, {'id': 9, 'name': 'object'}]
    val['annotations'] += [
        {'image_id': 4, 'category_id': category, 'bbox': [0, 0, 30, 30]} for category in (8, 8, 9)
    ]
    assert coarse_table(stats_of(content, val)).csv() == (
        'superclass only,level,classes,train_boxes,train_share,train_images,val_boxes,val_share,'
        'val_images\ntop,0,2,0,0.0,0,2,0.2222222222222222,1\n'
        'object,any,4,0,0.0,0,1,0.1111111111111111,1\n'
    )
    stats = stats_of(val)
    assert split_lines(stats)[0] == (
        'train: 4 images (0 without boxes), 6 boxes of 3 classes, 3 with a superclass only'
    )
    (split,) = to_dict(stats)['splits']
    assert [row['name'] for row in split['superclass_only']] == ['top', 'object']
    assert split['boxes'] == 9
    for text in (render_text(stats), render_markdown(stats)):
        assert 'superclass only' in text and 'object' in text

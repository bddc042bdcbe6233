"""The figures show what the statistics say, and no two texts lie upon each other."""

import dataclasses
import random

import matplotlib.colors
import pytest
from matplotlib.patches import Patch
from matplotlib.text import Text

from mmdet_multigrain.coco.boxes import box_columns
from mmdet_multigrain.report.dataset.figures import (
    Group,
    box_sizes,
    class_counts,
    drawable,
    summary,
    superclass_groups,
)
from mmdet_multigrain.report.dataset.grouping_figure import grouping, into_columns
from mmdet_multigrain.report.dataset.stats import dataset_stats
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.palette import NO_SUPERCLASS, superclass_colors

FIGURES = (class_counts, box_sizes, grouping)
LONG = {
    'name': 'long',
    'groups': {
        'a very, very long superclass name with $math^2$ & <b>tags</b>': [
            'футболка с очень длинным рукавом и надписью',
            '_underscore',
            'a|b',
        ],
        'größe': ['Überzieher aus sehr dickem Wollstoff für den Winter', 'çıñé'],
        'one': ['lonely'],
    },
    'ungrouped': ['solo', 'nothing'],
}


def stats_of(taxonomy, counts, *more, coarse=()):
    """Statistics of contents with so many boxes of each class, and of the groups in `coarse`."""
    files, names = [], (*taxonomy.classes, *coarse)
    for number, values in enumerate((counts, *more)):
        draw = random.Random(number)
        content = {
            'images': [{'id': n, 'width': 800, 'height': 600} for n in range(50)],
            'categories': [{'id': label + 1, 'name': name} for label, name in enumerate(names)],
            'annotations': [
                {
                    'image_id': draw.randrange(50),
                    'category_id': label + 1,
                    'bbox': [0, 0, draw.uniform(4, 300), draw.uniform(4, 300)],
                }
                for label, count in enumerate(values)
                for _ in range(count)
            ],
        }
        name = ('train', 'a_rather_long_name_of_a_validation_set')[number]
        files.append((name, box_columns(content, taxonomy, name)))
    return dataset_stats(files)


def tail(count, most, ratio=0.85):
    """Counts that fall like those of a long tail."""
    return [max(1, round(most * ratio**place)) for place in range(count)]


def sample_stats():
    """Small and large, balanced and long-tailed, with long names, without superclasses."""
    df2 = Taxonomy.load('deepfashion2')
    openimages = Taxonomy.load('openimages_v4_clothing')
    return {
        'df2': stats_of(df2, tail(13, 900, 0.6), tail(13, 9)),
        'balanced': stats_of(df2, [30] * 13),
        'openimages': stats_of(openimages, tail(40, 1500)),
        'flat': stats_of(Taxonomy('flat', 'abcdef'), [9, 8, 7, 3, 2, 1]),
        'long': stats_of(
            Taxonomy.load(LONG), [900, 9, 5, 70, 1, 4, 22, 0], [0, 4, 1, 9, 9, 0, 2, 0]
        ),
        'coarse': stats_of(
            Taxonomy.load(LONG),
            [900, 9, 5, 70, 1, 4, 22, 0, 30, 2, 9],
            [0, 4, 1, 9, 9, 0, 2, 0, 5, 0, 3],
            coarse=['GRÖSSE', next(iter(LONG['groups'])), 'object'],
        ),
        'groups of one': stats_of(Taxonomy.load({'top': ['shirt'], 'bottom': ['skirt']}), [3, 4]),
        'one class': stats_of(Taxonomy('one', ['hat']), [3]),
        'many groups': stats_of(
            Taxonomy.load(
                {f'group {n}': [f'class {n}.{m}' for m in range(1 + n % 4)] for n in range(16)}
            ),
            tail(40, 400),
        ),
    }


SAMPLES = sample_stats()


def texts_of(figure):
    figure.draw_without_rendering()  # a legend finds its place only now
    renderer = figure.canvas.get_renderer()
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip()
    ]


def overlaps(one, other, pixel=1.0):
    return (
        min(one.x1, other.x1) - max(one.x0, other.x0) > pixel
        and min(one.y1, other.y1) - max(one.y0, other.y0) > pixel
    )


@pytest.mark.parametrize('sample', SAMPLES)
@pytest.mark.parametrize('draw', FIGURES)
def test_texts_lie_apart(draw, sample):
    with style.drawing() as figure:
        draw(figure, SAMPLES[sample])
        texts = texts_of(figure)
    assert len(texts) > 3
    for place, (text, box) in enumerate(texts):
        for other, other_box in texts[:place]:
            assert not overlaps(box, other_box), (text, other)


@pytest.mark.parametrize('draw', FIGURES)
def test_names_without_a_font_are_numbers(draw):
    taxonomy = Taxonomy.load({'groups': {'\ue100': ['\ue101', 'юбка'], 'b': ['\ue102', 'd']}})
    stats = stats_of(taxonomy, [5, 4, 3, 2], [1, 1, 1, 0])
    splits = [dataclasses.replace(split, name='\ue103') for split in stats.splits]
    with style.drawing() as figure:
        draw(figure, drawable(dataclasses.replace(stats, splits=tuple(splits))))
        text = ' '.join(text for text, _ in texts_of(figure))
    assert style.missing_letters([text]) == ''
    assert all(name in text for name in ('class 0', 'юбка', 'class 2', 'group 0'))


@pytest.mark.parametrize('draw', FIGURES)
def test_files_are_small(draw):
    contents = style.render(draw, SAMPLES['openimages'])
    assert len(contents['png']) < 500_000 and len(contents['svg']) < 500_000


def test_bars_by_hand():
    with style.drawing() as figure:
        class_counts(figure, SAMPLES['flat'])
        (axes,) = figure.axes
        assert [bar.get_width() for bar in axes.containers[0]] == [9, 8, 7, 3, 2, 1]
        assert axes.get_xscale() == 'linear' and axes.get_legend() is None
        assert [label.get_text() for label in axes.get_yticklabels()] == list('abcdef')


@pytest.mark.parametrize('draw', FIGURES)
def test_boxes_of_a_superclass_are_hatched_in_its_color(draw):
    stats = SAMPLES['coarse']
    colors = superclass_colors(stats.taxonomy)
    with style.drawing() as figure:
        draw(figure, stats)
        hatched = [patch for patch in figure.findobj(Patch) if patch.get_hatch()]
        words = ' '.join(text for text, _ in texts_of(figure))
    assert len(hatched) == 3
    for name in (
        'any größe',
        'any a very, very long',
        'any object',
        'hatched: only the superclass',
    ):
        assert name in words
    if draw is class_counts:
        groups = [stats.taxonomy.superclass_of(stats.taxonomy.classes[k]) for k in (3, 0)]
        expected = [colors[groups[0]], NO_SUPERCLASS, colors[groups[1]]]
        found = [matplotlib.colors.to_hex(bar.get_edgecolor()) for bar in hatched]
        assert found == expected


def test_bars_of_a_long_tail_are_logarithmic_and_colored():
    stats = SAMPLES['df2']
    colors = superclass_colors(stats.taxonomy)
    with style.drawing() as figure:
        class_counts(figure, stats)
        (axes,) = figure.axes
        bars = axes.containers[0]
        assert [bar.get_x() + bar.get_width() for bar in bars] == pytest.approx(
            sorted(stats.train.counts, reverse=True)
        )
        assert axes.get_xscale() == 'log' and axes.get_xlabel().startswith('boxes (log scale)')
        for label, bar in zip(stats.by_count, bars, strict=True):
            assert bar.get_facecolor() == matplotlib.colors.to_rgba(
                colors[stats.taxonomy.superclass_of(label)]
            )
        (marks,) = axes.lines  # of the other file
        assert list(marks.get_xdata()) == [stats.splits[1].counts[n] for n in stats.by_count]
        words = {text for text, _ in texts_of(figure)}
    assert {
        'boxes (log scale);  shaded: the rarest 30%, 3 of 13 classes',
        'one-piece dress',
        f'top ({sum(stats.train.counts[:6]):,})',
    } <= words


def test_classes_that_a_file_lacks_are_marked():
    with style.drawing() as figure:
        class_counts(figure, SAMPLES['long'])
        words = [text for text, _ in texts_of(figure)]
    assert sum('none in a_rather_long_name_of_a…' in text for text in words) == 3
    assert sum('none in train' in text for text in words) == 1


def test_box_plots_by_hand():
    stats = SAMPLES['long']
    with style.drawing() as figure:
        box_sizes(figure, stats)
        (axes,) = figure.axes
        names = [label.get_text() for label in axes.get_yticklabels()]
        first = axes.containers[0][0]
    # One superclass after another; the class without boxes is left out.
    assert len(names) == 7 and names[-1] == 'solo (22)' and names[0].endswith('… (900)')
    low, high = stats.train.classes[0].size_px[1:4:2]
    assert (first.get_x(), first.get_x() + first.get_width()) == pytest.approx((low, high))


def test_superclass_groups():
    groups = superclass_groups(SAMPLES['openimages'])
    assert sorted(label for group in groups for label in group.labels) == list(range(40))
    assert groups[-1].name == 'no superclass' and len(groups[-1].labels) == 10
    counts = SAMPLES['openimages'].train.counts
    sums = [sum(counts[label] for label in group.labels) for group in groups[:-1]]
    assert sums == sorted(sums, reverse=True) and len(sums) == 7


def test_the_grouping_shows_every_class_and_count():
    stats = SAMPLES['openimages']
    with style.drawing() as figure:
        grouping(figure, stats)
        words = [text for text, _ in texts_of(figure)]
    for name, count in zip(stats.taxonomy.classes, stats.train.counts, strict=True):
        assert name in words and f'{count:,}' in words
    assert words.count('*') == len(stats.rarest) and summary(stats) in words


@pytest.mark.parametrize(
    ('sizes', 'expected'),
    [
        ([3, 2], [[3, 2]]),
        ([30], [[30]]),
        ([20, 2, 3, 5], [[20], [2, 3, 5]]),
        ([30, 30, 30, 30], [[30], [30], [30, 30]]),
    ],
)
def test_columns_of_even_height(sizes, expected):
    columns = into_columns([Group('', '', tuple(range(size))) for size in sizes])
    found = [[len(group.labels) for group in column] for column in columns]
    assert found == expected


def test_of_several_trees_the_first_has_the_colors(two_trees):
    """Boxes of a group of another tree may be of any of its superclasses."""
    shown = Taxonomy(
        'two', two_trees.classes, {**two_trees.forest, 'use': [('in',)] * 2 + [()] * 3}
    )
    stats = stats_of(shown, [5, 4, 3, 2, 1, 7, 8], coarse=['in', 'winter'])
    assert shown.labels.names[5:] == (
        *('background', 'body', 'upper', 'lower', 'summer', 'winter', 'object'),
    )
    groups = superclass_groups(stats)
    assert [group.name for group in groups] == ['body', 'head']
    assert groups[0].labels == (0, 1, 2, 3, 10, 7)  # 'in' are the classes of 'upper'
    by_season = Taxonomy('two', two_trees.classes, dict(reversed(two_trees.forest.items())))
    groups = superclass_groups(stats_of(by_season, [5, 4, 3, 2, 1, 7], coarse=['upper']))
    assert [group.name for group in groups] == ['summer', 'winter', 'no superclass', 'any class']
    assert groups[-1] == Group('any class', NO_SUPERCLASS, (by_season.find('upper', coarse=True),))
    again = drawable(stats)
    assert again.taxonomy.labels.names == shown.labels.names
    assert again.taxonomy.trees == ('kind', 'season', 'use')
    for draw in FIGURES:
        with style.drawing() as figure:
            draw(figure, again)

"""What the figure of scores shows: bars, dots and which variants."""

from __future__ import annotations

from matplotlib.figure import Figure

from benchmarks.experiments.figure import score_figure

VARIANTS = [
    dict(name='wgroup', config='a.py'),
    dict(name='wogroup', config='a.py'),
    dict(name='more', config='a.py', replicates=3),
    dict(name='unfinished', config='a.py', replicates=4),
    dict(name='single', config='a.py', replicates=1),
    dict(name='flat', config='a.py', labels='superclasses'),
]


def test_variants_with_all_of_their_replicates(experiment_of, result_of):
    tail = {
        'wgroup': [30.0, 40.0],
        'wogroup': [20.0, 30.0],
        'more': [1.0, 2.0, 6.0],
        'unfinished': [9.0, 9.0, 9.0],
        'single': [9.0],
        'flat': [9.0, 9.0],
    }
    results = {
        (name, number): result_of(name, number, value)
        for name, values in tail.items()
        for number, value in enumerate(values, 1)
    }
    figure = Figure()
    score_figure(figure, experiment_of(variants=VARIANTS), results, {'more': 'three draws'})
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ['three draws', 'wogroup', 'wgroup']
    assert [bar.get_width() for bar in axes.patches] == [3.0, 25.0, 35.0]
    assert [list(line.get_xdata()) for line in axes.lines] == [tail['more'], [20, 30], [30, 40]]

"""Intervals and marks where there are detections, and with seeds that pair or do not."""

import math

import numpy as np
import pytest

from mmdet_multigrain.evaluation import Detections, GroundTruth, evaluate_levels, summarize
from mmdet_multigrain.evaluation.functional.bootstrap import resample_ap
from mmdet_multigrain.evaluation.functional.intervals import difference_of_draws, holm
from mmdet_multigrain.evaluation.functional.summary import (
    Bucket,
    ClassScore,
    EvaluationSummary,
    LevelScore,
)
from mmdet_multigrain.evaluation.result_file import Result
from mmdet_multigrain.report.runs.comparison import compare
from mmdet_multigrain.report.runs.inputs import DetectionsFile
from mmdet_multigrain.report.runs.measures import (
    images_with_boxes,
    measures_of_runs,
)
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.report.runs.run import Run
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError
from tests.report.runs.made_summaries import COUNTS, NAN, TAXONOMY, gains, run


class _TestSet:
    """Ground truth in memory."""

    path = 'val.json'

    def __init__(self, truth):
        self.ground_truth = self.boxes = truth


def real_run(variant, seed, truth, detections):
    """A run with detections, in memory."""
    levels = evaluate_levels(truth, detections, [TAXONOMY.group_index(n) for n in range(2)])
    test_set = _TestSet(truth)
    file = DetectionsFile('dets.json', test_set)
    file.__dict__['detections'] = detections
    return Run(
        f'{variant} {seed}',
        variant,
        seed,
        f'{variant}{seed}.json',
        Result(summarize(levels, TAXONOMY, COUNTS), TAXONOMY),
        test_set,
        file,
    )


def make_runs(seeds_by_variant, qualities):
    """Runs that find class a with the quality of their variant; class d has boxes on 2 images."""
    rng = np.random.default_rng(0)
    num = 120
    labels = np.arange(num) % 3
    labels[:2] = 3
    truth = GroundTruth(
        tuple(range(num)),
        np.arange(num),
        labels,
        np.full((num, 4), 30.0),
        np.full(num, 900.0),
        np.zeros(num, bool),
    )

    def detections(quality):
        found = rng.random(num) < np.where(truth.labels == 0, quality, 0.6)
        boxes = truth.boxes + rng.normal(0, 2, (num, 4))
        boxes[~found] += 300
        return Detections(truth.images, truth.labels, boxes, rng.random(num))

    return [
        real_run(variant, seed, truth, detections(qualities[variant]))
        for variant, seeds in seeds_by_variant.items()
        for seed in seeds
    ]


QUALITIES = {'baseline': 0.3, 'wgroup': 0.95, 'merged': 0.3}


@pytest.fixture(scope='module')
def real_runs():
    """Two seeds of each of two variants."""
    return make_runs({'baseline': (0, 1), 'wgroup': (0, 1)}, QUALITIES)


NUMBERS = {
    'AP': (120, lambda one: one.mean()),
    'AP50': (120, lambda one: one.mean(iou=0.5)),
    'AP75': (120, lambda one: one.mean(iou=0.75)),
    'all': (120, lambda one: one.mean()),
    'rarest_1': (39, lambda one: one.mean([1])),
    'rare_third': (79, lambda one: one.mean([1, 2])),
    'superclass_AP': (120, lambda one: one.mean(level=0)),
    'class:a': (39, lambda one: one.classes()[:, 0]),
    'class:d': (2, lambda one: one.classes()[:, 3]),
    'level 0:bottom': (42, lambda one: one.classes(level=0)[:, 1]),
}


def check_intervals(runs, comparison, *, paired):
    """Intervals are those of the draws, over baseline and variant in the order of their seeds."""
    found = resample_ap(
        runs[0].ground_truth,
        [one.detections for one in runs],
        [(0, 0, 1, 1), (0, 1, 2, 3)],
        resamples=200,
        seed=3,
    )
    order = sorted(zip(runs, found, strict=True), key=lambda pair: pair[0].seed)
    for variant in comparison.others:
        sides = [
            [draws for run, draws in order if run.variant == name]
            for name in (comparison.baseline, variant.name)
        ]
        for key, (num_images, number) in NUMBERS.items():
            arms = [[number(draws) for draws in side] for side in sides]
            expected = difference_of_draws(*arms, num_images=num_images, paired=paired)
            gain = variant.gains[key]
            assert str(gain.interval) == str(expected), key
            # The numbers of the results are those that are resampled.
            assert gain.value == pytest.approx(expected.value, abs=1e-12), key


def test_one_or_two_seeds_have_intervals_over_photos_only(real_runs):
    comparison = compare(real_runs, resamples=200, seed=3)
    gains = comparison.variant('wgroup').gains
    check_intervals(real_runs, comparison, paired=True)
    assert comparison.resamples == 200 and not comparison.over_seeds
    assert [variant.name for variant in comparison.over_photos_only] == ['wgroup']
    assert gains['class:a'].interval.low > 0.2
    assert {one.may_be_noise for one in gains.values()} == {None}
    assert gains['class:d'].too_few_boxes and not gains['class:d'].has_ends
    assert not gains['class:a'].too_few_boxes and gains['class:a'].has_ends
    # Every class and superclass, every mean and AP, AP50, AP75 have one.
    missing = {key for key, one in gains.items() if one.interval is None}
    assert missing == {'APs', 'APm', 'APl', *('AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl')}


def test_seeds_that_pair_with_holms_rule():
    """In any order of the runs; equal to the baseline is `merged`."""
    runs = make_runs({'baseline': (2, 0, 1), 'wgroup': (0, 1, 2), 'merged': (1, 2, 0)}, QUALITIES)
    comparison = compare(runs, resamples=200, seed=3)
    check_intervals(runs, comparison, paired=True)
    assert len(comparison.over_seeds) == 2 and not comparison.over_photos_only
    better, equal = comparison.others
    assert better.gains['class:a'].may_be_noise is False
    assert equal.gains['class:a'].may_be_noise is True
    for key in ('AP', 'class:a', 'rarest_1'):
        p_values = [float(one.gains[key].interval.p_value) for one in comparison.others]
        assert [one.gains[key].p_holm for one in comparison.others] == holm(p_values).tolist()
    for one in comparison.others:
        assert one.gains['class:d'].too_few_boxes and one.gains['class:d'].may_be_noise is None
        assert one.gains['APs'].may_be_noise is None


def test_seeds_that_do_not_pair():
    runs = make_runs({'baseline': (0, 1, 2), 'wgroup': (0, 1, 3, 4)}, QUALITIES)
    comparison = compare(runs, resamples=200, seed=3)
    check_intervals(runs, comparison, paired=False)
    runs = make_runs({'baseline': (0, 1, 2), 'wgroup': (0, 1, 3), 'merged': (0, 1)}, QUALITIES)
    comparison = compare(runs, resamples=200, seed=3)
    assert [one.name for one in comparison.over_seeds] == ['wgroup']
    assert [one.name for one in comparison.over_photos_only] == ['merged']
    # Holm's rule counts only what is tested.
    gain = comparison.variant('wgroup').gains['AP']
    assert gain.p_holm == pytest.approx(float(gain.interval.p_value))
    assert math.isnan(comparison.variant('merged').gains['AP'].p_holm)


def test_crowds_are_no_boxes_of_a_class():
    truth = make_runs({'baseline': (0,)}, QUALITIES)[0].ground_truth
    truth.crowd[truth.labels == 0] = True
    what = measures_of_runs([run('base', 0, [0.1] * 4)])
    counts = images_with_boxes(truth, what, TAXONOMY)
    assert (counts['class:a'], counts['class:b'], counts['class:d']) == (0, 39, 2)
    assert counts['AP'] == counts['all'] == 120 - 39 and counts['level 0:top'] == 39


def test_the_paper_is_named_only_on_its_own_data():
    """Not on data with the same classes (drawn garments), nor on other data with as many."""

    def measures(classes, boxes):
        taxonomy = Taxonomy('t', classes)
        rows = tuple(ClassScore(name, (), boxes.get(name), 5, 0.1, 0.1, 0.1) for name in classes)
        level, bucket = LevelScore({'AP': 0.1}, rows), Bucket('', '', (), NAN, NAN)
        summary = EvaluationSummary((level,), bucket, (bucket,) * 3, 3, 9, 100, 'hotcoco')
        one = run('base', 0, [0.1] * 4)
        object.__setattr__(one, 'result', Result(summary, taxonomy))
        found = measures_of_runs([one])
        return found.dataset, [one.key for one in found.metrics if 'rarest' in one.key]

    paper = load_paper('df2')
    classes, boxes = paper.taxonomy.classes, {row.name: row.train_boxes for row in paper.classes}
    names = [f'class {number}' for number in range(44)]
    assert measures(names, dict.fromkeys(names, 5)) == (None, ['rarest_13'])
    assert measures(names[:13], dict.fromkeys(names, 5)) == (None, ['rarest_3'])
    assert measures(classes, boxes) == ('df2', ['rarest_3', 'rarest_9'])
    # Some boxes are left out of training; a tenth of them, or unknown ones, is other data.
    assert measures(classes, boxes | {'sling': 1960})[0] == 'df2'
    assert measures(classes, boxes | {'sling': 1800}) == (None, ['rarest_3'])
    assert measures(classes, dict.fromkeys(classes, 5)) == (None, ['rarest_3'])
    assert measures(classes, {}) == (None, ['rarest_3'])
    paper = load_paper('oiv4c')
    boxes = {row.name: row.train_boxes for row in paper.classes}  # the others are not printed
    assert measures(paper.taxonomy.classes, boxes)[0] == 'oiv4c'


def test_same_seed_same_intervals(real_runs):
    one, same, other = (compare(real_runs, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert str(one) == str(same)  # == fails on NaN
    assert one.variant('wgroup').gains['AP'] != other.variant('wgroup').gains['AP']


def test_variants_without_detections_have_no_intervals(real_runs):
    bare = run('merged', 0, [0.1] * 4)
    object.__setattr__(bare.result, 'summary', real_runs[0].result.summary)
    comparison = compare([*real_runs, bare], resamples=20)
    assert comparison.variant('merged').gains['AP'].interval is None
    assert comparison.variant('wgroup').gains['AP'].interval is not None
    comparison = compare([*real_runs, bare], baseline='merged', resamples=20)
    assert comparison.resamples == 0
    assert comparison.variant('wgroup').gains['AP'].interval is None
    assert compare(real_runs, resamples=0).variant('wgroup').gains['AP'].interval is None


def test_detections_of_another_test_are_noticed(real_runs):
    swapped = real_run('other', 0, real_runs[0].ground_truth, real_runs[0].detections)
    object.__setattr__(swapped, 'result', real_runs[2].result)
    with pytest.raises(ReportError, match='other0.json: its AP is .* but its detections give'):
        compare([*real_runs, swapped], resamples=20)


def test_class_sets_that_any_run_names():
    chosen = (Bucket('tail', None, ('d', 'a'), NAN, NAN),)
    result = compare(
        [run('flat', 0, [0.1, 0.2, 0.3, 0.4]), run('ours', 0, [0.2] * 4, class_sets=chosen)]
    )
    (metric,) = (one for one in result.metrics if one.key == 'set:tail:AP')
    assert metric.title == 'tail (2 classes), AP' and metric.classes == ('d', 'a')
    assert result.variant('flat').scores['set:tail:AP'].mean == pytest.approx(0.25)
    assert result.variant('ours').scores['set:tail:AP'].mean == pytest.approx(0.2)
    assert result.variant('flat').scores['set:tail:AP50'].mean == pytest.approx(0.8)
    assert gains(result, 'ours', 'set:tail:AP', 'set:tail:AP50') == pytest.approx([-0.05, 0])

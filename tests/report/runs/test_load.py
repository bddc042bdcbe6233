"""Runs: where they are found, what they hold, and one clear line for each that cannot be used."""

import json
import math

import numpy as np
import pytest

from mmdet_multigrain.evaluation import (
    EvaluationError,
    Result,
    RunRecord,
    evaluate_levels,
    summarize,
    write_result,
)
from mmdet_multigrain.report.runs.inputs import TestSet, read_detections
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.utils.errors import AnnotationError, ReportError

# Category ids that are no labels, in an order that is not theirs.
IDS = {'vest': 30, 'sling': 10, 'skirt': 20}
BOX = [5.0, 5.0, 20.0, 40.0]


@pytest.fixture
def garments():
    return Taxonomy.load(
        {'name': 'g', 'groups': {'top': ['vest', 'sling']}, 'ungrouped': ['skirt']}
    )


def ground_truth(**changes):
    content = {
        'images': [
            {'id': number, 'file_name': f'{number}.jpg', 'width': 60, 'height': 80}
            for number in (7, 8, 9)
        ],
        'annotations': [
            {
                'id': number,
                'image_id': image,
                'category_id': IDS[name],
                'bbox': BOX,
                'iscrowd': 0,
                'area': 800,
            }
            for number, (image, name) in enumerate([(7, 'vest'), (8, 'skirt'), (8, 'sling')], 1)
        ],
        'categories': [
            {'id': number, 'name': name, 'supercategory': 'none' if name == 'skirt' else 'top'}
            for name, number in IDS.items()
        ],
    }
    return content | changes


def found(image, name, score, box=BOX):
    return {'image_id': image, 'category_id': IDS[name], 'bbox': box, 'score': score}


DETECTIONS = [found(7, 'vest', 0.9), found(8, 'vest', 0.8), found(8, 'skirt', 0.7)]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def make(tmp_path, garments):
    """Write a work dir as a test leaves it; give its folder."""
    truth = write(tmp_path / 'data' / 'val.json', ground_truth())

    def work_dir(
        name,
        *,
        detections=DETECTIONS,
        config=None,
        seed=None,
        ann_file=truth,
        taxonomy=garments,
        images=None,
        train=None,
    ):
        folder = tmp_path / name
        path = write(folder / 'result.bbox.json', detections)
        test_set = TestSet(truth, taxonomy, True)
        levels = evaluate_levels(
            test_set.ground_truth,
            read_detections(path, test_set),
            [taxonomy.group_index(level) for level in range(taxonomy.num_levels)],
        )
        write_result(
            folder / 'result.json',
            Result(
                summary=summarize(levels, taxonomy, train),
                taxonomy=taxonomy,
                ann_file=str(ann_file),
                detections_file='result.bbox.json',
                run=RunRecord(config=config, seed=seed, image_folder=images),
            ),
        )
        return folder

    work_dir.truth = truth
    return work_dir


def edit(path, **changes):
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))
    return path


def test_work_dir_and_file_are_the_same_run(make):
    folder = make('work/wgroup', images='photos')
    (by_folder,) = load_runs([folder])
    (by_file,) = load_runs([folder / 'result.json'])
    for run in (by_folder, by_file):
        assert run.name == run.variant == 'wgroup' and run.seed is None
        assert run.source == folder / 'result.json'
        assert run.result.run.image_folder == 'photos' and run.has_detections
        assert run.test_set.file_names == {7: '7.jpg', 8: '8.jpg', 9: '9.jpg'}
    run = by_folder
    # Labels: vest 0, sling 1, skirt 2; images in order of their ids.
    assert run.ground_truth.image_ids == (7, 8, 9)
    assert sorted(run.ground_truth.labels.tolist()) == [0, 1, 2]
    assert run.detections.labels.tolist() == [0, 0, 2]
    assert run.detections.images.tolist() == [0, 1, 1]
    assert run.detections.scores.tolist() == [0.9, 0.8, 0.7]


def test_detections_alone_give_the_same_numbers(make):
    folder = make('work/wgroup')
    (tested,) = load_runs([folder])
    spec = f'{folder / "result.bbox.json"}:{make.truth}'
    # Without a result.json, classes come from the supercategories, by category id.
    (alone,) = load_runs([spec])
    assert alone.result.taxonomy.classes == ('sling', 'skirt', 'vest')
    for other in (
        alone,
        *load_runs(
            [folder / 'result.bbox.json'], ann_file=make.truth, taxonomy=tested.result.taxonomy
        ),
    ):
        assert other.variant == 'wgroup'
        for level in (0, 1):
            assert other.result.summary.levels[level].coco == pytest.approx(
                tested.result.summary.levels[level].coco, nan_ok=True
            )
        assert other.result.summary.tail.counted_on == 'validation'
    # Vest found before its false positive, skirt found, sling missed.
    assert alone.result.summary.fine.coco['AP'] == pytest.approx(2 / 3)
    both = load_runs([folder, f'other={spec}'])
    assert [run.name for run in both] == ['wgroup', 'other']
    assert both[1].result.taxonomy == tested.result.taxonomy


def test_training_boxes_of_detections_alone(make):
    folder = make('work/wgroup')
    (run,) = load_runs(
        [folder / 'result.bbox.json'], ann_file=make.truth, train_ann_file=make.truth
    )
    assert [row.train_boxes for row in run.result.summary.fine.classes] == [1, 1, 1]
    assert run.result.train_ann_file == str(make.truth)


@pytest.mark.parametrize(
    ('folder', 'config', 'seed', 'variant', 'expected'),
    [
        ('work/a', 'configs/wgroup_r18.py', 3, 'wgroup_r18', 3),
        ('work/a', 'configs/wgroup_r18_seed4.py', None, 'wgroup_r18', None),
        ('work/wgroup_seed5', 'configs/wgroup_r18.py', None, 'wgroup_r18', 5),
        ('work/wgroup-seed-6', None, None, 'wgroup', 6),
        ('work/wgroup/seed7', None, None, 'wgroup', 7),
        ('work/wgroup/seed7', None, 0, 'wgroup', 0),
        ('work/seedling', None, None, 'seedling', None),
    ],
)
def test_variant_and_seed(make, folder, config, seed, variant, expected):
    (run,) = load_runs([make(folder, config=config, seed=seed)])
    assert (run.variant, run.seed) == (variant, expected)


def test_detections_are_named_by_file_or_folder(make, tmp_path):
    make('x')
    for name, variant in (
        ('preds/yolo.json', 'yolo'),
        ('yolo/dets.json', 'yolo'),
        ('preds/faster_seed1.bbox.json', 'faster'),
    ):
        path = write(tmp_path / name, DETECTIONS)
        (run,) = load_runs([path], ann_file=make.truth)
        assert run.variant == variant


def test_names_are_unique(make):
    folders = [make(f'a/seed{seed}', config='wgroup.py', seed=seed) for seed in (0, 1)]
    folders += [make('b', config='base.py'), make('c', config='base.py'), make('d')]
    names = [run.name for run in load_runs(folders)]
    assert names[:2] == ['wgroup (seed 0)', 'wgroup (seed 1)'] and names[4] == 'd'
    assert len(set(names)) == 5 and all(name.startswith('base (') for name in names[2:4])


def test_runs_on_one_file_read_it_once(make):
    runs = load_runs([make('a'), make('b')])
    assert runs[0].ground_truth is runs[1].ground_truth


def test_training_file_that_no_run_would_use(make):
    folder = make('work/a')
    with pytest.raises(ReportError, match='val.json: not used, as each result holds'):
        load_runs([folder], train_ann_file=make.truth)
    runs = load_runs(
        [folder, f'other={folder}/result.bbox.json:{make.truth}'], train_ann_file=make.truth
    )
    assert [run.result.train_ann_file for run in runs] == [None, str(make.truth)]


def test_limit_on_detections(make):
    folder = make('work/a')
    spec = f'other={folder}/result.bbox.json:{make.truth}'
    with pytest.raises(ReportError, match='--max-dets 7: not used, as each result was made with'):
        load_runs([folder], max_dets=7)
    assert [run.result.summary.max_dets for run in load_runs([folder, spec])] == [100, 100]
    assert load_runs([spec], max_dets=7)[0].result.summary.max_dets == 7
    with pytest.raises(ReportError, match='with at most 7 detections .*a/result.json with 100; '):
        load_runs([folder, spec], max_dets=7)


def test_class_sets_of_one_name_must_be_the_same(make):
    tail = dict(name='tail', counted_on=None, tied=[], AP=0.5, AP50=0.5)
    folders = [make('a'), make('b')]
    for folder, classes in zip(folders, (['vest', 'sling'], ['sling', 'vest']), strict=True):
        edit(folder / 'result.json', class_sets=[dict(tail, classes=classes)])
    assert len(load_runs(folders)) == 2
    edit(folders[1] / 'result.json', class_sets=[dict(tail, classes=['vest'])])
    with pytest.raises(ReportError, match="its class set 'tail' has other classes than that of"):
        load_runs(folders)


def test_same_variant_and_seed_twice(make):
    folders = [make(name, config='wgroup.py', seed=1) for name in ('a', 'b')]
    with pytest.raises(ReportError, match='b/result.json: wgroup with seed 1, as is .*a/result'):
        load_runs(folders)
    assert len(load_runs([folders[0], f'wider={folders[1]}'])) == 2
    with pytest.raises(ReportError, match='named twice'):
        load_runs([folders[0], folders[0]])


def test_files_that_moved(make, tmp_path):
    folder = make('work/a', ann_file='../../data/val.json')
    (run,) = load_runs([folder])  # relative to its folder
    assert run.ground_truth.image_ids == (7, 8, 9)
    folder = make('work/b', ann_file='gone.json')
    (run,) = load_runs([folder])
    assert not run.has_detections and run.result.summary.num_images == 3
    for key in ('ground_truth', 'detections'):
        with pytest.raises(
            ReportError, match='annotation file gone.json does not exist.*--ann-file'
        ):
            getattr(run, key)
    (run,) = load_runs([folder], ann_file=make.truth)
    assert len(run.detections.scores) == 3
    (folder / 'result.bbox.json').unlink()
    (run,) = load_runs([folder], ann_file=make.truth)
    assert not run.has_detections and len(run.ground_truth.labels) == 3
    with pytest.raises(ReportError, match='result.bbox.json.* do not exist; test it again'):
        run.detections  # noqa: B018


def test_detections_of_another_test(make):
    folder = make('work/a')
    write(folder / 'result.bbox.json', DETECTIONS[:2])
    (run,) = load_runs([folder])
    with pytest.raises(ReportError, match='2 detections, but .* was made of 3; test it again'):
        run.detections  # noqa: B018


def test_other_ground_truth_than_that_of_the_result(make):
    folder = make('work/a')
    content = ground_truth()
    write(make.truth, content | {'annotations': content['annotations'][:2]})
    (run,) = load_runs([folder])
    with pytest.raises(ReportError, match='3 images with 2 boxes, but .* made on 3 with 3'):
        run.detections  # noqa: B018


def test_order_in_the_file_does_not_matter(make, tmp_path):
    content = ground_truth()
    other = write(tmp_path / 'other.json', {key: value[::-1] for key, value in content.items()})
    assert len(load_runs([make('a'), make('b', ann_file=other)])) == 2


def test_runs_on_other_boxes_do_not_compare(make, tmp_path):
    content = ground_truth()
    content['annotations'][0]['bbox'] = [5, 5, 20, 41]  # the same counts
    other = write(tmp_path / 'other.json', content)
    runs = [make('a'), make('b', ann_file=other)]
    with pytest.raises(ReportError, match='b/result.json: on other ground truth .*a/result.json'):
        load_runs(runs)


def test_runs_on_other_images_do_not_compare(make):
    folders = [make('a'), make('b', ann_file='gone.json')]
    edit(folders[1] / 'result.json', num_images=4)
    with pytest.raises(ReportError, match=r'4 images, 3 boxes\) than .*a/result.json \(3, 3\)'):
        load_runs(folders)


@pytest.mark.parametrize(
    ('groups', 'message'),
    [
        ({'classes': ['vest', 'sling']}, "lacks 'skirt', unlike"),
        (
            {'groups': {'top': ['vest', 'sling']}, 'ungrouped': ['skirt', 'hat']},
            "has also 'hat', un",
        ),
        (
            {'groups': {'top': ['sling', 'vest']}, 'ungrouped': ['skirt']},
            'in another order than in',
        ),
        (
            {
                'groups': {'top': ['vest', 'skirt']},
                'classes': ['vest', 'sling', 'skirt'],
                'ungrouped': ['sling'],
            },
            'grouped in another way',
        ),
        (
            {'groups': {'upper': ['vest', 'sling']}, 'ungrouped': ['skirt']},
            'grouped in another way',
        ),
    ],
)
def test_classes_must_be_the_same(make, groups, message):
    other = make('b', taxonomy=Taxonomy.load({'name': 'g', **groups}))
    with pytest.raises(ReportError, match=f'b/result.json: .*{message}'):
        load_runs([make('a'), other])


def test_aliases_and_the_taxonomys_name_do_not_matter(make):
    other = Taxonomy.load(
        {
            'name': 'h',
            'groups': {'top': ['vest', 'sling']},
            'ungrouped': ['skirt'],
            'aliases': {'vest': ['tank']},
        }
    )
    assert len(load_runs([make('a'), make('b', taxonomy=other)])) == 2


def test_missing_classes_of_detections_alone(make):
    folder = make('a')
    with pytest.raises(TaxonomyError, match="val.json: 1 of 3 categories not in .* 'skirt'"):
        load_runs(
            [folder / 'result.bbox.json'],
            ann_file=make.truth,
            taxonomy=Taxonomy('t', ['vest', 'sling']),
        )
    with pytest.raises(TaxonomyError, match="1 of 4 classes .* not among the categories: 'hat'"):
        load_runs(
            [folder / 'result.bbox.json'],
            ann_file=make.truth,
            taxonomy=Taxonomy('t', ['vest', 'sling', 'skirt', 'hat']),
        )


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (
            found(5, 'vest', 0.5),
            '1 of 4 detections have an image id that .*val.json lacks .first: 5',
        ),
        (found(7, 'vest', 0.5) | {'category_id': 1}, 'have a category id .* lacks .first: 1'),
        (found(7, 'vest', math.nan), '1 of 4 detections have a score or box that is not finite'),
        (found(7, 'vest', 0.5, [1, 2, math.inf, 3]), 'not finite'),
        (found(7, 'vest', None), '1 of 4 .* score nan'),
        (found(7, 'vest', 'high'), "entry 3 has score 'high'"),
        (found(7, 'vest', 0.5, [1, 2, 3]), r'entry 3 has bbox \[1, 2, 3\]'),
        (found(7, 'vest', 0.5, None), 'entry 3 has bbox None'),
        (found(7, 'vest', 0.5, [9, 9, -5, 4]), r'entry 3 has bbox \[9, 9, -5, 4\], with a width'),
        ({'image_id': 7}, 'entry 3 has category_id None'),
        (found([7], 'vest', 0.5), r'entry 3 has image_id \[7\]'),
        (7, 'entry 3 has image_id None'),
    ],
)
def test_damaged_detections(make, tmp_path, entry, message):
    make('a')
    path = write(tmp_path / 'dets.json', [*DETECTIONS, entry])
    with pytest.raises(ReportError, match=message) as caught:
        load_runs([path], ann_file=make.truth)
    assert str(caught.value).startswith(f'{path}: ') and '\n' not in str(caught.value)


def test_no_detections_is_legal(make, tmp_path):
    path = write(tmp_path / 'dets.json', [])
    (run,) = load_runs([f'{path}:{make.truth}'])
    assert run.result.summary.fine.coco['AP'] == 0 and len(run.detections.scores) == 0
    assert run.detections.boxes.shape == (0, 4)


def test_detections_of_categories_without_a_label_are_left_out(make, garments, tmp_path):
    content = ground_truth()
    content['categories'].append({'id': 99, 'name': 'hat', 'supercategory': 'none'})
    test_set = TestSet(write(tmp_path / 'more.json', content), garments, False)
    path = write(tmp_path / 'dets.json', [found(7, 'vest', 0.9) | {'category_id': 99}, *DETECTIONS])
    assert read_detections(path, test_set).scores.tolist() == [0.9, 0.8, 0.7]


def test_what_is_no_run(make, tmp_path):
    folder = make('a')
    empty = tmp_path / 'empty'
    empty.mkdir()
    cases = [
        (empty, ReportError, 'empty: no result.json in this folder; write it with tools/test.py'),
        (tmp_path / 'none', ReportError, 'none: no such run or file'),
        (folder / 'result.bbox.json', ReportError, 'need their ground truth; write .*--ann-file'),
        (
            f'{folder / "result.bbox.json"}:{tmp_path / "none.json"}',
            ReportError,
            'none.json: no such',
        ),
        (make.truth, EvaluationError, 'no result of a test'),
        (
            edit(make('b') / 'result.json', schema_version=1),
            EvaluationError,
            'of schema version 1, this is',
        ),
        (
            write(tmp_path / 'x' / 'result.json', {'schema_version': 3}),
            EvaluationError,
            'not a whole result',
        ),
    ]
    for spec, kind, message in cases:
        with pytest.raises(kind, match=message) as caught:
            load_runs([spec])
        assert '\n' not in str(caught.value)
    half = tmp_path / 'half.json'
    half.write_text('[{"image_id": 7')
    with pytest.raises(ReportError, match='half.json: not valid JSON'):
        load_runs([half], ann_file=make.truth)
    with pytest.raises((AnnotationError, TaxonomyError), match='half.json'):
        load_runs([f'{write(tmp_path / "dets.json", [])}:{half}'])


def test_digest_sees_every_column(make, garments, tmp_path):
    base = TestSet(make.truth, garments, False).digest
    for number, change in enumerate(
        [
            lambda c: c['annotations'][0].update(image_id=9),
            lambda c: c['annotations'][0].update(category_id=10),
            lambda c: c['annotations'][0].update(bbox=[5, 5, 20, np.nextafter(40, 41)]),
            lambda c: c['annotations'][0].update(iscrowd=1),
            lambda c: c['images'].append({'id': 1, 'file_name': 'x', 'width': 1, 'height': 1}),
        ]
    ):
        content = ground_truth()
        change(content)
        path = write(tmp_path / f'{number}.json', content)
        assert TestSet(path, garments, False).digest != base, number

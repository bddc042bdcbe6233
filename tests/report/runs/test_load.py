"""Runs: where they are found, what they hold, and which ones compare."""

import json

import pytest

from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError

from .made_work_dirs import DETECTIONS, GARMENTS, edit, found, ground_truth, write


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


def test_a_level_has_one_answer_for_each_object(make):
    folder = make('work/wgroup', detections=[*DETECTIONS, found(7, 'sling', 0.6)])
    (run,) = load_runs(
        [folder / 'result.bbox.json'], ann_file=make.truth, taxonomy=GARMENTS, level='coarse'
    )
    # Groups: top 0, skirt 1. The sling on the vest of image 7 is the same answer.
    assert run.result.taxonomy.classes == ('top', 'skirt')
    assert run.detections.labels.tolist() == [0, 0, 1]
    assert run.detections.scores.tolist() == [0.9, 0.8, 0.7]
    assert run.ground_truth.labels.tolist() == [0, 1, 0]
    assert run.result.summary.fine.coco['AP'] == 1


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


def test_taxonomy_that_no_run_would_use(make):
    folder = make('work/a')
    with pytest.raises(ReportError, match='--taxonomy deepfashion2: not used, as each result'):
        load_runs([folder], taxonomy='deepfashion2')
    with pytest.raises(ReportError, match="--taxonomy 'g': not used"):
        load_runs([folder], taxonomy=GARMENTS)
    spec = f'other={folder}/result.bbox.json:{make.truth}'
    assert len(load_runs([folder, spec], taxonomy=GARMENTS)) == 2


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


def test_runs_of_a_variant_are_trained_as_the_same(make):
    folders = [make(name, config='wgroup.py', seed=seed) for seed, name in enumerate('ab')]
    for folder, grouped in zip(folders, (True, False), strict=True):
        content = json.loads((folder / 'result.json').read_text())
        record = {'head': dict(type='MultiGrainedBBoxHead', grouped=grouped)}
        edit(folder / 'result.json', run={**content['run'], 'trained_as': record})
    with pytest.raises(ReportError) as caught:
        load_runs(folders)
    assert str(caught.value).startswith(
        f'{folders[1]}/result.json: head.grouped is False, but True in {folders[0]}/result.json, '
        "which is called 'wgroup', too; name the variants apart"
    )
    assert len(load_runs([folders[0], f'wogroup={folders[1]}'])) == 2


def test_runs_of_a_variant_are_tested_in_one_way(make):
    folders = [make(name, config='wgroup.py', seed=seed) for seed, name in enumerate('abc')]
    runs = [json.loads((folder / 'result.json').read_text())['run'] for folder in folders]

    def tested(*options, command='tools/test.py'):
        for folder, run, one in zip(folders, runs, options, strict=True):
            edit(folder / 'result.json', run={**run, 'options': one, 'command': command})
        return folders

    assert len(load_runs(tested('--tta a=[1, 2]', '--tta a=[1, 2]', '--tta a=[1, 2]'))) == 3
    assert len(load_runs(tested(None, None, None))) == 3
    for options, this, first in (
        (
            ('--tta a=[1, 2] b=3', '--tta a=[1, 2] b=3', '--tta a=[2, 2] b=3'),
            'a=[2, 2]',
            'a=[1, 2]',
        ),
        ((None, None, '--max-dets 7'), '--max-dets 7', 'no option'),
        (('--max-dets 7', '--max-dets 7', None), 'no option', '--max-dets 7'),
    ):
        with pytest.raises(ReportError) as caught:
            load_runs([f'x={folder}' for folder in tested(*options)])
        assert str(caught.value) == (
            f'{folders[2]}/result.json: tested with {this}, but {folders[0]}/result.json with {first} '
            "instead, and both are called 'x'; name the variants apart (NAME=RUN), or test both in "
            'one way'
        )
        assert len(load_runs([*folders[:2], f'y={folders[2]}'])) == 3
    # Nothing was recorded.
    assert len(load_runs(tested(None, 'a=1', 'a=1', command=None))) == 3


def test_same_variant_and_seed_twice(make):
    folders = [make(name, config='wgroup.py', seed=1) for name in ('a', 'b')]
    with pytest.raises(ReportError, match='b/result.json: wgroup with seed 1, as is .*a/result'):
        load_runs(folders)
    assert len(load_runs([folders[0], f'wider={folders[1]}'])) == 2
    with pytest.raises(ReportError, match='named twice'):
        load_runs([folders[0], folders[0]])


def test_files_that_moved(make, tmp_path, monkeypatch):
    (tmp_path / 'one' / 'two').mkdir(parents=True)
    monkeypatch.chdir(tmp_path / 'one' / 'two')
    folder = make('work/a', ann_file='../../data/val.json')
    monkeypatch.chdir(tmp_path)
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

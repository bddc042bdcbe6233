"""The registered metric: stock's numbers, scrambled files, one and two processes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric import MultiGrainedCocoMetric
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

from ...two_processes import run_two
from .metric_cases import BOXES, SIX, TAXONOMY, coco_content, perfect, run, sample, write


@pytest.fixture(scope='module')
def random_case():
    """Boxes and near-by detections of 30 images; every number lies well inside (0, 1)."""
    rng = np.random.default_rng(5)
    boxes, samples = [], []
    for image in range(1, 31):
        rows = []
        for _ in range(rng.integers(0, 6)):
            label = int(rng.integers(0, 5))
            box = np.concatenate([rng.uniform(0, 300, 2), rng.choice([20, 60, 150], 2)])
            boxes.append((image, label, *box))
            for _ in range(rng.integers(0, 3)):
                near = np.abs(box + rng.normal(0, 0.06 * box[2:].mean(), 4))
                rows.append(
                    (label if rng.random() < 0.7 else rng.integers(0, 5), *near, rng.random())
                )
        samples.append(sample(image, rows))
    return boxes, samples


def test_registered():
    metric = METRICS.build(dict(type='MultiGrainedCocoMetric', metric='bbox'))
    assert isinstance(metric, CocoMetric) and metric.prefix == 'coco'


def test_perfect_detections(ann_file):
    values = run(perfect(BOXES, 3), ann_file)
    assert set(values) == {
        *(f'coco/bbox_{item}' for item in SIX),
        'coco/bbox_mAP_tail30',
        'coco/bbox_superclass_mAP',
        *(f'coco/{name}_precision' for name in TAXONOMY.classes),
    }
    assert all(value == pytest.approx(1, abs=1e-12) for value in values.values())


def test_swapped_inside_the_group_is_right_for_the_superclass(ann_file):
    swap = {0: 1, 1: 0, 2: 3, 3: 4, 4: 2}
    samples = [
        sample(n, [(swap[label], *box, 0.9) for image, label, *box in BOXES if image == n])
        for n in (1, 2, 3)
    ]
    values = run(samples, ann_file)
    assert values['coco/bbox_mAP'] < 0.2
    assert values['coco/bbox_superclass_mAP'] == pytest.approx(1, abs=1e-12)


def test_equals_stock(random_case, tmp_path):
    boxes, samples = random_case
    ann_file = write(tmp_path / 'val.json', coco_content(boxes, 30))
    ours = run(samples, ann_file)
    stock = run(samples, ann_file, kind=CocoMetric, classwise=True)
    shared = {f'coco/bbox_{item}' for item in SIX}
    shared |= {f'coco/{name}_precision' for name in TAXONOMY.classes}
    assert shared == set(stock) & set(ours)
    for key in shared:
        assert 0.02 < ours[key] < 0.98
        assert ours[key] == pytest.approx(stock[key], abs=0.000501), key
    assert ours['coco/bbox_mAP'] != round(ours['coco/bbox_mAP'], 3)


def test_ground_truth_from_the_samples_equals_the_file(random_case, tmp_path):
    boxes, samples = random_case
    ann_file = write(tmp_path / 'val.json', coco_content(boxes, 30))
    with_instances = [
        {
            **item,
            'instances': [
                dict(bbox=[x, y, x + w, y + h], bbox_label=label, ignore_flag=0)
                for image, label, x, y, w, h in boxes
                if image == item['img_id']
            ],
        }
        for item in samples
    ]
    metric = MultiGrainedCocoMetric()
    metric.dataset_meta = taxonomy_metainfo(TAXONOMY)
    for _ in range(2):  # a second evaluation starts afresh
        metric.process({}, with_instances)
        values = metric.evaluate(size=30)
        assert values == pytest.approx(run(samples, ann_file), abs=1e-9)


def test_scrambled_categories_give_the_same_numbers(random_case, tmp_path):
    boxes, samples = random_case
    content = coco_content(boxes, 30, cat_ids=(40, 7, 31, 2, 9))
    content['categories'].sort(key=lambda item: item['id'])
    scrambled = write(tmp_path / 'scrambled.json', content)
    plain = write(tmp_path / 'plain.json', coco_content(boxes, 30))
    assert run(samples, scrambled) == run(samples, plain)


def test_engines_agree(random_case, tmp_path):
    boxes, samples = random_case
    ann_file = write(tmp_path / 'val.json', coco_content(boxes, 30))
    assert run(samples, ann_file, engine='hotcoco') == run(samples, ann_file, engine='pycocotools')


def test_padded_images_count_once(random_case, tmp_path):
    boxes, samples = random_case
    ann_file = write(tmp_path / 'val.json', coco_content(boxes, 30))
    expected = run(samples, ann_file)
    assert run(samples + samples[:3], ann_file) == expected
    metric = MultiGrainedCocoMetric(ann_file)
    metric.dataset_meta = taxonomy_metainfo(TAXONOMY)
    metric.process({}, samples + samples[:3])
    assert metric.evaluate(size=30) == expected  # what MMEngine cuts off


WORKER = """
import sys, torch
import torch.distributed as dist
sys.path.insert(0, sys.argv[1])
from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric import MultiGrainedCocoMetric
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.taxonomy import Taxonomy
folder, rank = sys.argv[2], int(sys.argv[3])

def main():
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    samples, taxonomy = torch.load(f'{folder}/samples.pt')
    metric = MultiGrainedCocoMetric(
        f'{folder}/val.json', result_file=f'{folder}/result.json', collect_device='cpu')
    metric.dataset_meta = taxonomy_metainfo(Taxonomy.load(taxonomy))
    padded = samples + samples[:1]  # an odd number of images for two processes
    metric.process({}, padded[rank::2])
    values = metric.evaluate(size=len(samples))
    assert (metric._coco_api is not None) == (rank == 0)
    torch.save(values, f'{folder}/values{rank}.pt')

run_tool(main)  # ends a process of gloo as the command lines do: without SIGABRT at exit
"""


def test_two_processes_equal_one(random_case, tmp_path):
    boxes, samples = random_case
    samples = samples[:29]
    write(tmp_path / 'val.json', coco_content([box for box in boxes if box[0] < 30], 29))
    torch.save((samples, TAXONOMY.to_dict()), tmp_path / 'samples.pt')
    run_two(WORKER, tmp_path)
    values = [torch.load(tmp_path / f'values{rank}.pt') for rank in range(2)]
    assert values[0] == values[1] == run(samples, str(tmp_path / 'val.json'))
    assert json.loads((tmp_path / 'result.json').read_text())['num_images'] == 29


def test_result_file(tmp_path, ann_file):
    train = [(1, label, 0, 0, 10 + n, 10) for label in range(5) for n in range(5 - label)]
    train_file = write(tmp_path / 'train.json', coco_content(train, 1))
    path = tmp_path / 'run' / 'result.json'
    without_jeans = perfect([box for box in BOXES if box[1] != 4], 3)
    values = run(without_jeans, ann_file, train_ann_file=train_file, result_file=str(path))
    result = json.loads(path.read_text())
    assert [row['train_boxes'] for row in result['classes']] == [5, 4, 3, 2, 1]
    assert [row['val_boxes'] for row in result['classes']] == [2, 1, 1, 1, 1]
    assert result['tail']['classes'] == ['jeans'] and result['tail']['AP'] == 0
    assert values['coco/bbox_mAP_tail30'] == 0
    assert result['coco']['AP'] == values['coco/bbox_mAP'] == pytest.approx(0.8)
    assert result['coarse_levels'][0]['coco']['AP'] == values['coco/bbox_superclass_mAP'] < 1
    assert result['num_detections'] == 5
    assert Taxonomy.load(result['taxonomy']) == TAXONOMY
    assert result['dataset'] == {'ann_file': ann_file, 'train_ann_file': train_file}


def test_training_file_that_is_not_here(ann_file, tmp_path):
    path = tmp_path / 'result.json'
    run(
        perfect(BOXES, 3), ann_file, train_ann_file=str(tmp_path / 'no.json'), result_file=str(path)
    )
    assert json.loads(path.read_text())['tail']['counted_on'] == 'validation'


def test_class_without_ground_truth_is_minus_one(tmp_path):
    boxes = [box for box in BOXES if box[1] != 4]
    content = coco_content(boxes, 3, names=TAXONOMY.classes[:4])
    ann_file = write(tmp_path / 'val.json', content)
    values = run(perfect(BOXES, 3), ann_file, allow_missing=True)
    assert values['coco/jeans_precision'] == -1
    assert values['coco/bbox_mAP_tail30'] == pytest.approx(1)  # of a class with boxes
    assert values['coco/bbox_mAP'] == pytest.approx(1, abs=1e-12)


def test_no_detections_at_all(ann_file):
    values = run([sample(n, []) for n in (1, 2, 3)], ann_file)
    assert set(values.values()) == {0.0}


def test_each_level_of_a_deeper_taxonomy(ann_file):
    deep = Taxonomy.load(
        {'top': ['vest', 'sling'], 'bottom': {'short': ['shorts', 'skirt'], 'long': ['jeans']}}
    )
    values = run(perfect(BOXES, 3), ann_file, taxonomy=deep, classwise=False)
    assert set(values) == {
        *(f'coco/bbox_{item}' for item in SIX),
        'coco/bbox_mAP_tail30',
        'coco/bbox_level0_mAP',
        'coco/bbox_level1_mAP',
    }


def test_metric_items(ann_file):
    values = run(perfect(BOXES, 3), ann_file, metric_items=['mAP', 'AR@1'], classwise=False)
    assert values == {
        'coco/bbox_mAP': pytest.approx(1),
        'coco/bbox_AR@1': pytest.approx(1),
        'coco/bbox_mAP_tail30': pytest.approx(1),
        'coco/bbox_superclass_mAP': pytest.approx(1),
    }
    with pytest.raises(EvaluationError, match="'AR@1000' is unknown; use some of mAP, "):
        MultiGrainedCocoMetric(ann_file, metric_items=['AR@1000'])


def test_other_metrics_are_stocks(ann_file):
    samples = perfect(BOXES, 3)
    both = run(samples, ann_file, metric=['bbox', 'proposal'])
    stock = run(samples, ann_file, kind=CocoMetric, metric='proposal')
    assert both == {**run(samples, ann_file), **stock}
    assert 'coco/AR@100' in stock


def test_masks_are_stocks(tmp_path):
    content = coco_content(BOXES, 3)
    for item in content['annotations']:
        x, y, w, h = item['bbox']
        item['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    samples = perfect(BOXES, 3)
    for item in samples:
        masks = torch.zeros(len(item['pred_instances']['scores']), 480, 640, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(
            masks, item['pred_instances']['bboxes'].int().tolist(), strict=True
        ):
            mask[y1:y2, x1:x2] = True
        item['pred_instances']['masks'] = masks
    values = run(samples, write(tmp_path / 'val.json', content), metric=['bbox', 'segm'])
    assert values['coco/segm_mAP'] == 1
    assert values['coco/bbox_mAP'] == pytest.approx(1, abs=1e-12)


def test_detections_file(ann_file, tmp_path):
    prefix = tmp_path / 'out' / 'run'
    expected = json.loads(Path(ann_file).read_text())['annotations']
    for options in ({}, {'format_only': True}, {'metric': ['bbox', 'proposal']}):
        values = run(perfect(BOXES, 3), ann_file, outfile_prefix=str(prefix), **options)
        assert bool(values) is not options.get('format_only', False)
        assert [item.name for item in prefix.parent.iterdir()] == ['run.bbox.json']
        written = json.loads(Path(f'{prefix}.bbox.json').read_text())
        assert [(d['image_id'], d['category_id'], d['bbox']) for d in written] == [
            (a['image_id'], a['category_id'], a['bbox']) for a in expected
        ]
        Path(f'{prefix}.bbox.json').unlink()


def test_images_not_run_count_as_missed(ann_file):
    values = run(perfect(BOXES, 3)[:2], ann_file)
    assert values['coco/jeans_precision'] == 0
    assert values['coco/skirt_precision'] == pytest.approx(1, abs=1e-12)

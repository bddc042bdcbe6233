"""Ground truth of which only the superclass is known, and images that annotate some classes only."""

import pytest

from mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric import MultiGrainedCocoMetric
from mmdet_multigrain.utils.errors import AnnotationError

from .metric_cases import BOXES, TAXONOMY, coco_content, perfect, run, sample, write

TOP = TAXONOMY.num_classes + 1  # vest 0, sling 1
PLACE = (200, 300, 80, 80)


@pytest.mark.parametrize('from_file', [True, False])
def test_a_coarse_box_is_a_crowd_of_its_classes(tmp_path, from_file):
    content = coco_content(BOXES, 3)
    content['categories'].append({'id': 9, 'name': 'TOP'})
    coarse = {'id': 99, 'image_id': 1, 'category_id': 9, 'bbox': list(PLACE), 'area': 6400}
    content['annotations'].append(coarse)
    samples = perfect(BOXES, 3)

    def result(label):
        rows = [(*box[1:], 0.9) for box in BOXES if box[0] == 1] + [(label, *PLACE, 0.95)]
        with_one_more = [sample(1, rows), *samples[1:]]
        if from_file:
            return run(with_one_more, write(tmp_path / 'coarse.json', content))
        for number, data_sample in enumerate(with_one_more, 1):
            boxes = [box[1:] for box in BOXES if box[0] == number]
            boxes += [(TOP, *PLACE)] if number == 1 else []
            data_sample['instances'] = [
                dict(bbox=[x, y, x + w, y + h], bbox_label=own, ignore_flag=0)
                for own, x, y, w, h in boxes
            ]
        return run(with_one_more)

    assert result(1)['coco/sling_precision'] == pytest.approx(1)  # on a top, it may be right
    assert result(2)['coco/shorts_precision'] < 1  # never on a top
    assert result(1)['coco/bbox_mAP'] == pytest.approx(1)
    assert result(1)['coco/bbox_superclass_mAP'] == pytest.approx(1)  # it is a box of its level
    assert result(2)['coco/bbox_superclass_mAP'] < 0.9


def test_coarse_training_boxes_are_of_no_class(tmp_path):
    content = coco_content(BOXES, 3)
    content['categories'].append({'id': 9, 'name': 'top'})
    content['annotations'][0]['category_id'] = 9
    train = write(tmp_path / 'train.json', content)
    metric = MultiGrainedCocoMetric(ann_file=train, train_ann_file=train)
    metric.dataset_meta = dict(taxonomy=TAXONOMY.to_dict(), classes=TAXONOMY.classes)
    metric.check_data([1, 2, 3])
    assert metric._train_counts == [1, 1, 1, 1, 1]


@pytest.mark.parametrize('told_by', ['file', 'samples', 'both'])
def test_what_an_image_does_not_annotate_is_left_out(tmp_path, told_by):
    content = coco_content(BOXES, 3)
    for image in content['images']:
        if told_by != 'samples':
            # Image 1 shows a vest and a sling, and no skirt; of others nothing is known.
            image['neg_category_ids'] = [4] if image['id'] == 1 else [1, 2, 3, 4, 5]
            image['not_exhaustive_category_ids'] = [2] if image['id'] == 1 else []
    samples = perfect(BOXES, 3)

    def result(label, image_id=1):
        rows = [(*box[1:], 0.9) for box in BOXES if box[0] == image_id] + [(label, *PLACE, 0.95)]
        changed = [*samples]
        changed[image_id - 1] = sample(image_id, rows)
        if told_by != 'file':
            changed[0]['unannotated'] = [1, 2, 4]
        return run(changed, write(tmp_path / 'some.json', content))

    for label, name in enumerate(TAXONOMY.classes):
        left_out = result(label)[f'coco/{name}_precision'] == pytest.approx(1)
        assert left_out == (label in (1, 2, 4)), name
        assert result(label, 2)[f'coco/{name}_precision'] < 1
    assert result(4)['coco/bbox_superclass_mAP'] == pytest.approx(1)
    assert result(3)['coco/bbox_superclass_mAP'] == pytest.approx(1)  # it may be shorts or jeans
    assert result(0)['coco/bbox_superclass_mAP'] == pytest.approx(1)  # it may be a sling


@pytest.mark.parametrize('ids', ['4', [None], {'4': 1}])
def test_lists_of_categories_that_are_none(tmp_path, ids):
    content = coco_content(BOXES, 3)
    content['images'][1]['neg_category_ids'] = ids
    with pytest.raises(AnnotationError, match=r'images\[1\]: neg_category_ids .* not a list'):
        run(perfect(BOXES, 3), write(tmp_path / 'bad.json', content))

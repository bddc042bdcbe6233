"""Images that tell which classes they annotate."""

import pytest

from mmdet_multigrain.checks import annotated

from .small_files import box, data, image


def found(*fields, boxes=()):
    images = [image(number, **field) for number, field in enumerate(fields, start=1)]
    findings = annotated.CHECKS.run(data([*boxes], images))
    return {finding.check.code: finding.examples for finding in findings}


def test_images_that_tell_it_are_counted():
    fields = {'neg_category_ids': [], 'not_exhaustive_category_ids': []}
    told = ("image 1 ('1.jpg')", "image 3 ('3.jpg')")
    partly = {'not_exhaustive_category_ids': [1]}
    assert found(fields, {}, partly) == {'annotated-per-image': told}
    assert found({}, {'not_exhaustive_category_ids': []}) == {}


@pytest.mark.parametrize('value', [3, '12', {'1': 2}, True])
def test_what_is_no_list(value):
    assert found({'neg_category_ids': value})['annotated-not-a-list'] == ("image 1 ('1.jpg')",)


def test_ids_that_no_category_has():
    fields = {'neg_category_ids': [1, 7, None, [2]], 'not_exhaustive_category_ids': [2, 'x']}
    assert found(fields)['annotated-unknown-id'] == (
        "image 1 ('1.jpg'): neg_category_ids has 7",
        "image 1 ('1.jpg'): neg_category_ids has None",
        "image 1 ('1.jpg'): neg_category_ids has [2]",
    )


def test_absent_classes_with_boxes():
    fields = {'neg_category_ids': [1, 2]}
    boxes = [box(1, category_id=2), box(2, image_id=2), box(3, category_id=None)]
    kinds = found(fields, {'neg_category_ids': [2, None]}, boxes=boxes)
    assert kinds['absent-class-with-boxes'] == ("image 1 ('1.jpg'): neg_category_ids has 2",)

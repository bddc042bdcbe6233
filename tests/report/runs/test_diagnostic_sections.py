"""Sentences about confusions: each says from which score it counts."""

import dataclasses
import math

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.confusion import measure_confusion
from mmdet_multigrain.report.runs.diagnostic_sections import confusion_sentence
from mmdet_multigrain.report.runs.diagnostics import VariantDiagnostics
from mmdet_multigrain.taxonomy import Taxonomy
from tests.evaluation.functional.test_confusion import MIXED, case

SHIRT, JEANS, COAT = 0, 1, 2


def diagnosed(predictions, taxonomy=MIXED, *, more=()):
    """Of four shirts, found with these labels and scores; `more` are scores of other runs."""
    found = [(label, number, score) for number, (label, score) in enumerate(predictions)]
    confusion = measure_confusion(*case([(SHIRT, n) for n in range(4)], found), taxonomy)
    scores = confusion.min_score, *more
    return VariantDiagnostics('a', len(scores), 0.5, (), confusion, scores, (), math.nan, ())


@pytest.mark.parametrize(
    ('predictions', 'sentence'),
    [
        ([(SHIRT, 0.9)] * 4, 'at a score of 0.9 or more, no box is taken for another class.'),
        (
            [(SHIRT, 0.17), (JEANS, 0.16), (COAT, 0.1512)],
            'at a score of 0.151 or more, 2 boxes are taken for another class, 50% of them for one '
            'of the same superclass; if each wrong class were equally likely, it would be 25%.',
        ),
        ([], 'there are no detections.'),
    ],
)
def test_confusion_sentence(predictions, sentence):
    assert confusion_sentence(diagnosed(predictions)) == sentence


def test_one_box_and_no_groups():
    one = diagnosed([(JEANS, 0.5)], Taxonomy('plain', MIXED.classes))
    assert confusion_sentence(one) == 'at a score of 0.5 or more, 1 box is taken for another class.'


def test_scores_of_several_runs():
    one = diagnosed([(SHIRT, 0.5)] * 4, more=(0.42, 0.6))
    assert confusion_sentence(one).startswith('at a score of 0.42 to 0.6 (by run) or more, no box')


def test_detections_on_the_background_only():
    """Found at other places: no box is taken for anything, and that is said with the score."""
    one = diagnosed([(SHIRT, 0.5)] * 4)
    counts = np.zeros_like(one.confusion.counts)
    counts[-1, 0] = 4
    one = dataclasses.replace(one, confusion=dataclasses.replace(one.confusion, counts=counts))
    assert (
        confusion_sentence(one) == 'at a score of 0.5 or more, no box is taken for another class.'
    )

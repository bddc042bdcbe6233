"""The numbers that the paper prints."""

import pytest

from mmdet_multigrain.report.runs.paper import DATASETS, load_paper
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError


@pytest.fixture(params=DATASETS)
def paper(request):
    return load_paper(request.param)


def test_what_the_tables_say():
    df2, oiv4c = map(load_paper, DATASETS)
    assert len(df2.classes) == 13 and len(oiv4c.classes) == 30
    assert sum(row.train_boxes for row in df2.classes) == df2.train_boxes == 312_186
    assert sum(row.train_boxes for row in oiv4c.classes) == 306_374
    assert oiv4c.train_boxes == 490_777
    # Known from the text: mean gains of 2.278 and 2.492 AP over the baseline.
    for paper, gain in ((df2, 2.278), (oiv4c, 2.492)):
        gains = [row.ap['wgroup'] - row.ap['baseline'] for row in paper.classes]
        assert sum(gains) / len(gains) == pytest.approx(gain, abs=5e-4)
    assert df2.overall['wgroup']['AP'] == 69.02 and oiv4c.overall['merged']['APl'] == 54.12


def test_shape(paper):
    variants = ['baseline', 'wogroup', 'merged', 'wgroup']
    assert list(paper.overall) == variants
    assert all(list(row.ap) == variants for row in paper.classes)
    assert all(
        list(scores) == ['AP', 'AP50', 'AP75', 'APs', 'APm', 'APl']
        for scores in paper.overall.values()
    )
    boxes = [row.train_boxes for row in paper.classes]
    assert boxes == sorted(boxes)
    assert len({row.name for row in paper.classes}) == len(boxes)
    assert {row.name for row in paper.classes} <= set(paper.taxonomy.classes)


def test_names_of_either_side_match():
    paper = load_paper('df2')
    taxonomy = Taxonomy('t', ['short_sleeved_shirt', 'tank'], aliases={'tank': ['vest']})
    labels = paper.labels_in(taxonomy, source='f', advice='name another')
    assert labels == {'short sleeve top': 0, 'vest': 1}
    with pytest.raises(ReportError, match='f: none of its classes is one of df2, name another'):
        paper.labels_in(Taxonomy('t', ['car', 'bus']), source='f', advice='name another')

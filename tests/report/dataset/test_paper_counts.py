"""Box counts compared with the paper's."""

import pytest

from mmdet_multigrain.report.dataset.paper_counts import compare_counts
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError


def counts_of(paper, taxonomy):
    """The paper's counts in the label order of a taxonomy; 0 where it prints none."""
    printed = {row.name: row.train_boxes for row in paper.classes}
    return [printed.get(name, 0) for name in taxonomy.classes]


def test_the_papers_own_counts_agree():
    paper = load_paper('df2')
    counts = counts_of(paper, paper.taxonomy)
    result = compare_counts(paper, paper.taxonomy, counts, [0] * 13, source='f')
    assert [str(check) for check in result.sums] == [
        'all 13 classes: 312,186, the paper 312,186: agrees'
    ]
    assert all(row.ratio == 1 for row in result.classes) and not result.others


def test_both_sums_of_open_images():
    paper = load_paper('oiv4c')
    counts = counts_of(paper, paper.taxonomy)
    counts[paper.taxonomy.label_of('Suit')] = 490_777 - 306_374 + 5
    crowds = [0] * 40
    crowds[paper.taxonomy.label_of('Tiara')] = 2
    result = compare_counts(paper, paper.taxonomy, counts, crowds, source='f')
    assert [str(check) for check in result.sums] == [
        'all 40 classes: 490,782, the paper 490,777: differs by +5',
        'the 30 classes that the paper lists: 306,374, the paper 306,374: agrees',
        'all 40 classes with crowds: 490,784, the paper 490,777: differs by +7',
        'the 30 classes that the paper lists with crowds: 306,376, the paper 306,374: '
        'differs by +2',
    ]
    assert [row.paper for row in result.classes[30:]] == [None] * 10


def test_names_of_either_side_match():
    paper = load_paper('df2')
    # A name of the release's own converter, a name of the paper, an alias, a class of neither.
    taxonomy = Taxonomy.load(
        {
            'groups': {
                'top': ['short_sleeved_shirt', 'Long Sleeve Shirt', 'tank'],
                'feet': ['boot'],
            },
            'aliases': {'tank': ['vest']},
        }
    )
    result = compare_counts(paper, taxonomy, [10, 20, 30, 40], [0] * 4, source='f')
    found = {row.name: row.boxes for row in result.classes if row.boxes is not None}
    assert found == {'short sleeve top': 10, 'long sleeve top': 20, 'vest': 30}
    assert result.others == ('boot',)
    assert result.sums[0].boxes == 60
    assert '-' in result.table().text()


def test_another_data_set_is_refused():
    with pytest.raises(ReportError, match='f.json: none of its classes is one of df2'):
        compare_counts(
            load_paper('df2'), Taxonomy('t', ['car', 'bus']), [1, 2], [0, 0], source='f.json'
        )

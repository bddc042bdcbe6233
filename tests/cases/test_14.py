"""Shared case: detections of other frameworks, in other forms than COCO's."""

import pytest

from mmdet_multigrain.report.runs.load import load_runs
from tests.tools.conftest import call

from .conftest import CASES

FOLDER = CASES / '14_foreign_detections'
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason='no ../shared/cases')
CAUSES = {
    'good': '',
    'xyxy': 'its boxes look like corners (x1, y1, x2, y2), ',
    'centre': 'its boxes look like center, width, height, ',
    'norm': 'its boxes look like fractions of the image, ',
    'resized': 'its boxes look like pixels of a photo 4 times as large, ',
    'shift0_no0': 'its category_id looks like the place in the list of categories, counted from 0: ',
}


@pytest.mark.parametrize('kind', CAUSES)
def test_one_line_of_doubt_names_the_cause(kind):
    [run] = load_runs([f'{FOLDER / kind}.json:{FOLDER / "val.json"}'])
    assert run.doubt.startswith(CAUSES[kind]) and '\n' not in run.doubt
    assert bool(run.doubt) == bool(CAUSES[kind])


@pytest.mark.parametrize('kind', ['stems', 'idtext'])
def test_image_ids_of_another_kind_are_mapped(kind, capsys):
    [run] = load_runs([f'{FOLDER / kind}.json:{FOLDER / "val.json"}'])
    assert run.doubt == '' and run.result.summary.fine.coco['AP'] > 0.5
    assert f'{kind}.json: its image ids are ' in capsys.readouterr().out


@pytest.mark.long
def test_the_doubt_comes_before_any_number(tmp_path):
    files = [f'{name}={FOLDER / name}.json:{FOLDER / "val.json"}' for name in ('good', 'xyxy')]
    out = call('analysis_tools/report', *files, '--no-bootstrap', '--out', tmp_path / 'r').out
    assert out.startswith('Doubt about xyxy: its boxes look like corners')
    page = (tmp_path / 'r' / 'report.md').read_text()
    assert 0 < page.index('Doubt about xyxy') < page.index('| AP')

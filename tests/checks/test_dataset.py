"""All checks together: one file, two files, photos, and files of any content."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.dataset import check_files, load_files, load_photos
from mmdet_multigrain.checks.finding import SEVERITIES
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckError

CONTENT = {
    'images': [{'id': 1, 'file_name': '1.jpg', 'width': 100, 'height': 80}],
    'categories': [
        {'id': 1, 'name': 'vest', 'supercategory': 'top'},
        {'id': 2, 'name': 'coat', 'supercategory': 'top'},
        {'id': 3, 'name': 'skirt', 'supercategory': 'bottom'},
        {'id': 4, 'name': 'shorts', 'supercategory': 'bottom'},
    ],
    'annotations': [
        {'id': n, 'image_id': 1, 'category_id': n, 'bbox': [n, n, 5, 5], 'area': 25, 'iscrowd': 0}
        for n in (1, 2, 3, 4)
    ],
}


@pytest.fixture
def path(tmp_path):
    (tmp_path / 'a.json').write_text(json.dumps(CONTENT))
    return tmp_path / 'a.json'


def test_a_clean_file(path):
    files = load_files([path])
    checked = check_files(files)
    assert checked.findings == () and checked.taxonomy.num_groups(0) == 2
    assert [checked.count(severity) for severity in SEVERITIES] == [0, 0, 0]


def test_another_taxonomy(path):
    kinds = [
        finding.check.code
        for finding in check_files(load_files([path]), Taxonomy.load('deepfashion2')).findings
    ]
    assert kinds == ['class-unknown', 'class-not-listed']


def test_findings_come_by_severity_and_name_their_file(path, tmp_path):
    content = json.loads(path.read_text())
    content['annotations'][0] |= {'id': 0, 'area': None}
    content['images'].append({'id': 2, 'file_name': '2.jpg', 'width': 10, 'height': 10})
    (tmp_path / 'b.json').write_text(json.dumps(content))
    checked = check_files(load_files([path, tmp_path / 'b.json']))
    assert [
        (finding.check.severity, finding.check.code, finding.split) for finding in checked.findings
    ] == [
        ('error', 'annotation-id-below-1', 'val'),
        ('warning', 'area-missing', 'val'),
        ('warning', 'file-name-in-both-splits', ''),
        ('note', 'image-without-boxes', 'val'),
    ]


def test_one_file_is_not_two(path, tmp_path):
    (tmp_path / 'link.json').symlink_to(path)
    with pytest.raises(CheckError, match='the same file as'):
        load_files([path, tmp_path / 'link.json'])


def test_photos(path, tmp_path):
    [data] = load_files([path])
    Image.new('RGB', (100, 80)).save(tmp_path / '1.jpg')
    photos = load_photos(data, tmp_path)
    assert {name: photo.size for name, photo in photos.items()} == {'1.jpg': (100, 80)}


def test_a_folder_without_any_photo_is_the_wrong_one(path, tmp_path):
    [data] = load_files([path])
    with pytest.raises(CheckError, match='none of the 1 photos .* is there'):
        load_photos(data, tmp_path)
    with pytest.raises(CheckError, match='no such folder'):
        load_photos(data, tmp_path / 'none')


def test_a_folder_below_the_right_one_does_not_lend_its_photos(path, tmp_path):
    """Those of training, say, for names that begin with val/."""
    [data] = load_files([path])
    data.images[0]['file_name'] = 'val/1.jpg'
    for number, folder in enumerate(('train', 'val')):
        (tmp_path / folder).mkdir()
        Image.new('RGB', (100, 80), (number, 0, 0)).save(tmp_path / folder / '1.jpg')
    with pytest.raises(
        CheckError, match=f"/train: 'val/1.jpg' of .* name {tmp_path}, the folder that"
    ):
        load_photos(data, tmp_path / 'train')
    assert load_photos(data, tmp_path / 'val')['val/1.jpg'].named == '1.jpg'  # the same file
    assert load_photos(data, tmp_path)['val/1.jpg'].size == (100, 80)


def test_the_name_of_an_absent_photo_is_told_in_letters(path, tmp_path):
    [data] = load_files([path])
    data.images[0]['file_name'] = 'a\x00\n.jpg'
    with pytest.raises(CheckError) as caught:
        load_photos(data, tmp_path)
    assert 'a\\x00\\n.jpg' in str(caught.value) and str(caught.value).isprintable()


def test_real_photos_have_parents_with_boxes_and_no_fault(ccp):
    files = load_files([ccp / 'train.json', ccp / 'val.json'])
    for data in files:
        data.photos = load_photos(data, ccp / 'photos', workers=1)
    findings = check_files(files).findings
    assert {finding.check.code for finding in findings if finding.check.severity != 'note'} == {
        'parent-annotated'
    }


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 3),
        st.floats(),
        st.text(max_size=3),
        st.sampled_from(['1.jpg', 'vest', 10**30]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                [
                    'id',
                    'image_id',
                    'category_id',
                    'bbox',
                    'area',
                    'iscrowd',
                    'name',
                    'file_name',
                    'width',
                    'height',
                    'supercategory',
                    'segmentation',
                ]
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(
    content=st.dictionaries(
        st.sampled_from(['images', 'annotations', 'categories', 'info']),
        st.one_of(st.lists(values, max_size=4), values),
    )
)
def test_whatever_a_file_holds_is_checked(tmp_path_factory, content):
    path = tmp_path_factory.mktemp('any') / 'a.json'
    checked = check_files([CocoData(content, path=path)])
    assert checked.count('error')  # never a whole data set
    for finding in checked.findings:
        assert 0 < finding.count >= len(finding.examples) > 0
        assert not any('\n' in example for example in finding.examples)


@pytest.mark.parametrize('full_decode', [False, True])
def test_no_photo_outside_the_folder_is_read(tmp_path, monkeypatch, full_decode):
    folder, secret = tmp_path / 'data' / 'photos', tmp_path / 'secret.jpg'
    folder.mkdir(parents=True)
    for path in (secret, folder / '1.jpg'):
        Image.new('RGB', (100, 80)).save(path)
    names = ['1.jpg', str(secret), '../../secret.jpg', 'x/../../../secret.jpg']
    content = {
        **CONTENT,
        'images': [
            {'id': n, 'file_name': name, 'width': 100, 'height': 80}
            for n, name in enumerate(names, 1)
        ],
    }
    (tmp_path / 'b.json').write_text(json.dumps(content))
    [data] = load_files([tmp_path / 'b.json'])
    data.photos = load_photos(data, folder, workers=1, full_decode=full_decode)
    assert [*data.photos] == ['1.jpg']
    codes = {finding.check.code: finding.count for finding in check_files([data]).findings}
    assert codes['file-name-absolute'] == 1 and codes['file-name-above-folder'] == 2

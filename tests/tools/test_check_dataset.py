"""tools/check_dataset.py: exit status, reports, repaired copies, and what it refuses."""

import json
import os
import resource
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'check_dataset.py'


def content(**annotation):
    """One image, four classes in two groups, a box of each."""
    return {
        'images': [{'id': 1, 'file_name': 'Größe 1.jpg', 'width': 100, 'height': 80}],
        'categories': [
            {'id': n, 'name': name, 'supercategory': group}
            for n, name, group in (
                (1, 'vest', 'top'),
                (2, 'coat', 'top'),
                (3, 'skirt', 'low'),
                (4, 'shorts', 'low'),
            )
        ],
        'annotations': [
            {
                'id': n,
                'image_id': 1,
                'category_id': n,
                'bbox': [10 * n, 0, 50, 60],
                'area': 3000,
                'iscrowd': 0,
                **annotation,
            }
            for n in (1, 2, 3, 4)
        ],
    }


def write(path, data):
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def clean(tmp_path):
    return write(tmp_path / 'clean.json', content())


@pytest.fixture
def warned(tmp_path):
    return write(tmp_path / 'warned.json', content(iscrowd=None))


@pytest.fixture
def faulty(tmp_path):
    data = content()
    data['annotations'][0] |= {'id': 0, 'bbox': [70, 0, 50, 60]}
    return write(tmp_path / 'faulty.json', data)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'photos'
    folder.mkdir()
    Image.new('RGB', (100, 80), 'red').save(folder / 'Größe 1.jpg')
    return folder


@pytest.fixture
def run(capsys):
    """Call the tool: exit status, stdout, stderr."""

    def call(*arguments):
        with (
            mock.patch.object(sys, 'argv', [str(TOOL), *map(str, arguments)]),
            pytest.raises(SystemExit) as stop,
        ):
            runpy.run_path(str(TOOL), run_name='__main__')
        screen = capsys.readouterr()
        return int(stop.value.code or 0), screen.out, screen.err

    return call


@pytest.fixture
def refused(run):
    """The one line of a call that fails."""

    def call(*arguments):
        status, _, err = run(*arguments)
        assert status == 2 and 'Traceback' not in err
        line = err.strip().splitlines()[-1]
        assert 'error: ' in line
        return line

    return call


def test_exit_status(run, clean, warned, faulty):
    assert run(clean)[0] == run(clean, '--strict')[0] == 0
    assert run(warned)[0] == 0 and run(warned, '--strict')[0] == 1
    assert run(faulty)[0] == 1


def test_last_line_is_the_verdict(run, clean, faulty):
    assert run(clean)[1].splitlines()[-1] == 'verdict: clean'
    out = run(faulty)[1]
    assert out.splitlines()[-1].startswith('verdict: 1 kind of error and 1 kind of warning')
    assert "annotation 0 ('Größe 1.jpg'): [70, 0, 50, 60] in 100 x 80" in out


def test_help_tells_the_exit_status(run):
    status, out, _ = run('--help')
    assert status == 0 and 'exit status:' in out and '2  cannot check' in out


def test_json(run, faulty, tmp_path):
    assert run(faulty, '--json', tmp_path / 'new' / 'r.json')[0] == 1
    report = json.loads((tmp_path / 'new' / 'r.json').read_bytes())
    assert report['schema_version'] == 1 and report['verdict'] == 'errors'
    assert report['files'][0]['counts'] == {
        'images': 1,
        'annotations': 4,
        'counted_annotations': 4,
        'categories': 4,
    }
    assert [(finding['kind'], finding['count']) for finding in report['findings']] == [
        ('annotation-id-below-1', 1),
        ('bbox-partly-outside', 1),
    ]


def test_number_of_examples(run, warned):
    assert 'annotation 4' in run(warned, '--examples', 9)[1]
    assert 'annotation' not in run(warned, '--examples', 0)[1]


def test_photos_are_looked_at(run, clean, photos, tmp_path):
    for options in ((), ('--full-decode', '--workers', 1)):
        status, out, _ = run(clean, '--images', photos, *options)
        assert status == 0 and '1 photos read' in out
    photo = photos / 'Größe 1.jpg'
    Image.effect_noise((100, 80), 50).save(photo)
    photo.write_bytes(photo.read_bytes()[:-300])
    assert run(clean, '--images', photos)[0] == 0
    status, out, _ = run(clean, '--images', photos, '--full-decode')
    assert status == 1 and '(photo-unreadable)' in out
    assert run(clean, '--images', tmp_path / 'none', '--no-images')[0] == 0


def test_two_splits(run, clean, tmp_path, photos):
    other = tmp_path / 'val'
    other.mkdir()
    Image.new('RGB', (100, 80), 'blue').save(other / 'Größe 1.jpg')
    val = write(tmp_path / 'val.json', content())
    assert '(file-name-in-both-splits)' in run(clean, val)[1]
    status, out, _ = run(clean, val, '--images', photos, '--val-images', other)
    assert status == 0 and 'both' not in out
    status, out, _ = run(clean, val, '--images', photos)
    assert status == 1 and '(photo-in-both-splits)' in out


def test_more_training_files(run, refused, clean, tmp_path):
    part = content()
    part |= {'categories': part['categories'][:2], 'annotations': part['annotations'][:2]}
    more, val = write(tmp_path / 'part.json', part), write(tmp_path / 'val.json', content())
    report = tmp_path / 'r.json'
    status, out, _ = run(more, val, '--also', clean, '--json', report)
    assert status == 0 and f"'skirt': not in {more}\n" in out
    assert out.splitlines()[1] == f'train 2: {clean}: 1 images, 4 boxes, 4 categories'
    files = json.loads(report.read_text())['files']
    assert [(entry['split'], entry['file']) for entry in files] == [
        ('train', str(more)), ('train 2', str(clean)), ('val', str(val))
    ]  # fmt: skip
    assert run(more, val, '--also', clean, '--json', report)[0] == 0
    assert 'one by one' in refused(more, '--also', clean, '--fix', tmp_path / 'fixed.json')
    assert 'name each file once' in refused(more, '--also', more)


def test_the_way_of_boxes_with_a_superclass(run, tmp_path):
    """The advice for annotated parents, followed."""
    boxes = content()
    boxes['categories'].append({'id': 5, 'name': 'top', 'supercategory': 'none'})
    boxes['annotations'].append({**boxes['annotations'][0], 'id': 5, 'category_id': 5})
    path, taxonomy = write(tmp_path / 'a.json', boxes), tmp_path / 'classes.yaml'
    out = ' '.join(run(path)[1].split())
    command = f'make_taxonomy.py --from coco {path} --coarse'
    assert '(parent-annotated)' in out and command in out
    tool = TOOL.with_name('make_taxonomy.py')
    arguments = [*command.split()[1:], '--out', taxonomy]
    subprocess.run([sys.executable, tool, *arguments], check=True)
    out = run(path, '--taxonomy', taxonomy)[1]
    assert 'parent-annotated' not in out and '1 boxes: a group of 2 classes at level 0' in out


def test_taxonomies(run, refused, clean, tmp_path):
    status, out, _ = run(clean, '--taxonomy', 'deepfashion2')
    assert status == 1 and '(class-unknown)' in out
    (tmp_path / 'mine.yaml').write_text('{one: [vest, coat], two: [skirt, shorts]}')
    assert run(clean, '--taxonomy', tmp_path / 'mine.yaml')[0] == 0
    assert "did you mean 'deepfashion2'?" in refused(clean, '--taxonomy', 'deepfasion2')


def test_repaired_copy(run, faulty, tmp_path):
    before = faulty.read_bytes()
    out_file, report = tmp_path / 'new' / 'fixed.json', tmp_path / 'r.json'
    status, out, _ = run(faulty, '--fix', out_file, '--json', report)
    assert status == 0 and faulty.read_bytes() == before
    assert 'clipped           1  boxes partly outside their image' in out
    assert out.splitlines()[-1] == 'verdict on the repaired copy: clean'
    assert json.loads(out_file.read_bytes())['annotations'][0] == {
        'id': 1,
        'image_id': 1,
        'category_id': 1,
        'bbox': [70, 0, 30, 60],
        'area': 1800,
        'iscrowd': 0,
    }
    repaired = json.loads(report.read_bytes())['repaired']
    assert repaired['verdict'] == 'clean' and len(repaired['files'][0]['done']) == 2
    assert run(out_file, '--strict')[0] == 0


def test_repaired_copies_of_two_splits(run, faulty, warned, tmp_path):
    assert run(faulty, warned, '--fix', tmp_path / 'out')[0] == 0
    assert sorted(os.listdir(tmp_path / 'out')) == ['train.json', 'val.json']


def test_what_cannot_be_fixed_keeps_the_status(run, tmp_path):
    faulty = write(tmp_path / 'a.json', content(iscrowd=2))
    status, out, _ = run(faulty, '--fix', tmp_path / 'b.json')
    assert status == 1 and 'left in the repaired copy' in out


def test_inputs_are_never_replaced(refused, faulty, warned, tmp_path):
    before = faulty.read_bytes()
    (tmp_path / 'soft.json').symlink_to(faulty)
    (tmp_path / 'hard.json').hardlink_to(faulty)
    os.rename(warned, tmp_path / 'train.json')
    for arguments in (
        (faulty, '--fix', faulty),
        (faulty, '--fix', tmp_path / 'soft.json'),
        (faulty, '--fix', tmp_path / 'hard.json'),
        (tmp_path / 'soft.json', '--fix', faulty),
        (faulty, '--json', faulty),
        (faulty, tmp_path / 'train.json', '--fix', tmp_path),
        (faulty, '--taxonomy', tmp_path / 'train.json', '--fix', tmp_path / 'train.json'),
    ):
        assert 'would replace the input' in refused(*arguments)
    assert 'named for two outputs' in refused(
        faulty, '--fix', tmp_path / 'o', '--json', tmp_path / 'o'
    )
    assert faulty.read_bytes() == before


def test_other_files_are_replaced_only_when_asked(run, refused, faulty, warned, tmp_path):
    other = tmp_path / 'val.json'
    other.write_bytes(warned.read_bytes())
    for option in ('--fix', '--json'):
        assert 'already exists, from another command' in refused(faulty, option, other)
        assert other.read_bytes() == warned.read_bytes()
    report = tmp_path / 'report.json'
    for _ in range(2):  # the report of the same files is brought up to date
        assert run(faulty, '--json', report)[0] == 1
    assert 'report.json: already exists' in refused(warned, '--json', report)
    assert run(faulty, '--fix', other, '--force')[0] == 0
    assert other.read_bytes() != warned.read_bytes()


def test_wrong_places_for_the_copy(refused, faulty, warned, tmp_path):
    assert 'a folder; for one split name a file' in refused(faulty, '--fix', tmp_path)
    assert 'name a folder' in refused(faulty, warned, '--fix', warned)
    line = refused(faulty, '--fix', warned / 'below' / 'a.json')
    assert 'cannot be written (Not a directory)' in line


def test_nothing_is_written_when_repair_is_refused(refused, tmp_path):
    corners = [
        {'id': n, 'image_id': 1, 'category_id': 1, 'bbox': [60, 50 - n, 90, 80]}
        for n in range(1, 6)
    ]
    faulty = write(tmp_path / 'a.json', {**content(), 'annotations': corners})
    assert 'look like corners' in refused(faulty, '--fix', tmp_path / 'b.json')
    assert os.listdir(tmp_path) == ['a.json']


@pytest.mark.parametrize(
    'options',
    [
        ('--full-decode',),
        ('--val-images', 'x'),
        ('--workers', '0'),
        ('--examples', '-1'),
        ('--workers', 'x'),
    ],
)
def test_wrong_options(refused, clean, options):
    refused(clean, *options)


@pytest.mark.parametrize(
    'data', [b'', b'{', b'[]', b'\x89PNG', b'{"images": [' * 10_000, b'1' * 5000]
)
def test_what_cannot_be_checked(refused, tmp_path, data):
    path = tmp_path / 'a.json'
    path.write_bytes(data)
    assert str(path) in refused(path)
    assert 'no such annotation file' in refused(tmp_path / 'none.json')


def in_process(*arguments, **options):
    """Call the tool in a separate process."""
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(TOOL.parents[1]), **options.pop('env', {})},
        **options,
    )


def test_full_disk(faulty, tmp_path):
    """A limit on the size of files gives the same error in the middle of a write."""
    data = json.loads(faulty.read_text())
    data['info'] = {'description': 'x' * 100_000}
    write(faulty, data)
    result = in_process(
        faulty,
        '--fix',
        tmp_path / 'out' / 'b.json',
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert result.returncode == 2 and 'Traceback' not in result.stderr
    assert 'b.json: cannot be written (File too large)' in result.stderr
    assert os.listdir(tmp_path) == ['faulty.json']


def test_full_disk_at_the_second_of_two_copies_leaves_none(faulty, tmp_path):
    data = json.loads(faulty.read_text())
    data['info'] = {'description': 'x' * 100_000}
    large = write(tmp_path / 'large.json', data)
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'train.json').write_text('old')
    result = in_process(
        faulty,
        large,
        '--fix',
        out,
        '--force',
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert result.returncode == 2 and 'val.json: cannot be written' in result.stderr
    assert os.listdir(out) == ['train.json'] and (out / 'train.json').read_text() == 'old'
    assert ': written' not in result.stdout


def test_a_terminal_without_the_letters(faulty):
    result = in_process(faulty, env={'PYTHONIOENCODING': 'ascii'})
    assert result.returncode == 1 and 'Gr\\xf6\\xdfe' in result.stdout

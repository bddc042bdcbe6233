"""tools/make_taxonomy.py: the file it writes, what it prints, and what it refuses."""

import json
import sys
from types import SimpleNamespace

import pytest

from mmdet_multigrain.engine.hooks.preflight_hook import check_heads
from mmdet_multigrain.models import MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy

from .conftest import REPOSITORY, call, start

TREE = {
    'LabelName': '/m/root',
    'Subcategory': [
        {
            'LabelName': '/m/wear',
            'Subcategory': [
                {'LabelName': '/m/hat'},
                {'LabelName': '/m/tie'},
                {'LabelName': '/m/sock'},
            ],
        },
        {
            'LabelName': '/m/head',
            'Subcategory': [{'LabelName': '/m/hat'}, {'LabelName': '/m/crown'}],
        },
    ],
}
NAMES = '/m/wear,Wear\n/m/hat,Hat\n/m/tie,Tie\n/m/sock,Sock\n/m/head,Headwear\n/m/crown,Crown\n'
COCO = {
    'categories': [
        {'id': 1, 'name': 'hat', 'supercategory': 'head'},
        {'id': 2, 'name': 'tie', 'supercategory': 'neck'},
        {'id': 3, 'name': 'bag', 'supercategory': 'none'},
    ],
    'images': [],
    'annotations': [],
}


def run(*arguments):
    return call('make_taxonomy', *arguments)


def fails(*arguments):
    """The one line of an error."""
    result = run(*arguments)
    assert result.status == 2 and not result.out
    line = result.err.strip().splitlines()[-1]
    assert 'error: ' in line and 'Traceback' not in result.err
    return line


@pytest.fixture
def files(tmp_path):
    (tmp_path / 'tree.json').write_text(json.dumps(TREE))
    (tmp_path / 'names.csv').write_text(NAMES)
    (tmp_path / 'coco.json').write_text(json.dumps(COCO))
    return tmp_path


def test_from_openimages(files):
    out = files / 'new' / 'wear.yaml'
    result = run(
        '--from',
        'openimages',
        files / 'tree.json',
        '--descriptions',
        files / 'names.csv',
        '--out',
        out,
    )
    assert result.status == 0 and result.out == ''
    assert result.err == (
        f'Open Images: 4 classes, 2 groups, 2 levels, 0 classes without a group -> {out}\n'
    )
    taxonomy = Taxonomy.load(out)
    assert taxonomy == Taxonomy.from_openimages(files / 'tree.json', files / 'names.csv')
    assert taxonomy.superclass_of('/m/hat') == 'Headwear'
    head = out.read_text().partition('# A taxonomy')[0]
    assert 'From tree.json: all classes' in head and '- Hat: Headwear (not Wear)\n' in head
    assert all(line.startswith('#') for line in head.splitlines())
    assert 'shortest path' in head and 'fewest leaves' in head


def test_a_node_on_the_screen(files):
    result = run('--from', 'openimages', files / 'tree.json', '--node', '/m/wear')
    (files / 'w.yaml').write_text(result.out)
    assert Taxonomy.load(files / 'w.yaml').classes == ('/m/hat', '/m/sock', '/m/tie')
    assert result.err == '/m/wear: 3 classes, 0 groups, 1 levels, 3 classes without a group\n'
    assert 'below /m/wear' in result.out and 'several parents' not in result.out


@pytest.mark.parametrize('encoding', ['latin-1', 'ascii'])
def test_the_screen_of_another_encoding_can_become_a_file(files, encoding):
    (files / 'in.yaml').write_text('[béret, hat]', encoding='utf-8')
    tool = sys.executable, REPOSITORY / 'tools' / 'make_taxonomy.py', '--from', 'yaml'
    result = start(*tool, files / 'in.yaml', PYTHONIOENCODING=encoding)
    assert result.status == 0, result.err
    (files / 'out.yaml').write_text(result.out, encoding='utf-8')
    assert Taxonomy.load(files / 'out.yaml').classes == ('béret', 'hat')


def test_what_yaml_cannot_hold_stands_escaped_in_comments(files):
    names = (files / 'tree.json').read_text().replace('/m/head', 'he\\u0015ad')
    (files / 'tree.json').write_text(names)
    out = files / 'w.yaml'
    assert (
        run('--from', 'openimages', files / 'tree.json', '--node', '/m/root', '--out', out).status
        == 2
    )  # as a group it is no name
    tree = {
        'LabelName': 'he\x15ad',
        'Subcategory': TREE['Subcategory'][0]['Subcategory']
        + [{'LabelName': '/m/x', 'Subcategory': [{'LabelName': '/m/hat'}, {'LabelName': '/m/y'}]}],
    }
    (files / 'tree.json').write_text(json.dumps(tree))
    assert run('--from', 'openimages', files / 'tree.json', '--out', out).status == 0
    assert '- /m/hat: he\\x15ad (not /m/x)' in out.read_text()
    assert Taxonomy.load(out).num_classes == 4


def test_from_coco(files):
    result = run('--from', 'coco', files / 'coco.json', '--out', files / 'c.yaml')
    assert '\ncoco.json: 3 classes, 2 groups, 2 levels, 1 classes without' in result.err
    assert Taxonomy.load(files / 'c.yaml') == Taxonomy.from_coco(files / 'coco.json')
    assert (files / 'c.yaml').read_text().startswith('# From coco.json.\n')


FISH = {
    'categories': [
        {'id': 1, 'name': 'fish', 'supercategory': 'none'},
        {'id': 2, 'name': 'cod', 'supercategory': 'fish'},
        {'id': 3, 'name': 'tuna', 'supercategory': 'fish'},
        {'id': 4, 'name': 'crab', 'supercategory': 'shell'},
        {'id': 5, 'name': 'shrimp', 'supercategory': 'shell'},
    ],
    'images': [],
    'annotations': [{'id': n, 'category_id': 1 + n % 5} for n in range(10)],
}


def test_parents_with_boxes_and_the_two_ways_to_go(files):
    path, out = files / 'fish.json', files / 'f.yaml'
    path.write_text(json.dumps(FISH))
    own = run('--from', 'coco', path, '--out', out)
    told = f"{path}: 2 boxes of 'fish', the superclass of 'cod', 'tuna'"
    assert own.err.startswith(f'{told}, are a class of their own: ')
    assert own.err.splitlines()[0].endswith('add --coarse fish')
    assert Taxonomy.load(out) == Taxonomy.from_coco(path)
    for names in ((), ('fish',)):
        coarse = run('--from', 'coco', path, '--out', out, '--force', '--coarse', *names)
        assert coarse.err.splitlines()[0] == f'{told}: only the superclass is known'
        assert f'# {told}' in out.read_text()
        assert Taxonomy.load(out).classes == ('cod', 'tuna', 'crab', 'shrimp')
        assert Taxonomy.load(out).find('fish', coarse=True) == 5
    alone = {**FISH, 'categories': [*FISH['categories'][:2], *FISH['categories'][3:]]}
    path.write_text(json.dumps(alone))
    result = run('--from', 'coco', path, '--coarse')
    assert "the superclass of 'cod', are a class of their own: " in result.err
    assert 'give them its category' in result.err and '- fish' not in result.err
    path.write_text(json.dumps(FISH))
    line = fails('--from', 'coco', path, '--coarse', 'shell')
    assert line.startswith(f"error: {path}: --coarse 'shell': not a ") and "are 'fish'" in line


def test_several_files_and_what_each_lacks(files):
    paths = [files / 'fish.json', files / 'hats.json']
    hats = [{'id': 7, 'name': 'hat', 'supercategory': 'wear'}, FISH['categories'][1]]
    for path, content in zip(paths, (FISH, FISH | {'categories': hats}), strict=True):
        path.write_text(json.dumps(content))
    result = run('--from', 'coco', *paths, '--out', files / 'all.yaml')
    assert f"{paths[0]}: lacks 1 of 6 classes: 'hat'; " in result.err
    assert f"{paths[1]}: lacks 4 of 6 classes: 'fish', 'tuna', 'crab', 'shrimp'; " in result.err
    assert Taxonomy.load(files / 'all.yaml').classes[-1] == 'hat'
    assert 'several files and --coarse go with --from coco' in fails('--from', 'yaml', *paths)


def test_roots_of_several_files(files):
    def coco(name, root, classes, boxes=True):
        names = [*([root] if root else []), *classes]
        content = {
            'images': [],
            'categories': [
                {'id': n, 'name': name, 'supercategory': root if name != root else 'none'}
                for n, name in enumerate(names)
            ],
            'annotations': [
                {'id': n, 'image_id': 1, 'category_id': n, 'bbox': [0, 0, 9, 9]}
                for n, name in enumerate(names)
                if name != root
            ],
        }
        path = files / f'{name}.json'
        path.write_text(json.dumps(content))
        return path

    one, other = (
        coco('one', 'garments', ['shirt', 'pants']),
        coco('b', 'clothes-x', ['shirt', 'hat']),
    )
    result = run('--from', 'coco', one, other, '--out', files / 'both.yaml')
    assert result.status == 0, result.err
    taxonomy = Taxonomy.load(files / 'both.yaml')
    assert set(taxonomy.classes) == {'shirt', 'pants', 'hat'} and taxonomy.is_ungrouped
    plain = coco('plain', '', ['shirt', 'hat', 'shoe'])
    result = run('--from', 'coco', one, plain, '--out', files / 'root.yaml')
    assert "one.json: 'garments' holds all of its classes; if that is only the root" in result.err
    assert Taxonomy.load(files / 'root.yaml').superclass_of('pants') == 'garments'


def test_leaves_of_unequal_depth_are_named(files):
    result = run('--from', 'coco', files / 'coco.json')
    assert "less deep than other classes: 'bag'; " in result.err


@pytest.mark.parametrize(
    ('text', 'groups', 'ungrouped'),
    [
        (
            '{top: [shirt, coat], bottom: [jeans]}',
            {'top': ['shirt', 'coat'], 'bottom': ['jeans']},
            [],
        ),
        ('[shirt, coat]', {}, ['shirt', 'coat']),
        (
            '- top: [shirt, coat]\n- hat\n- low: {a: [jeans], b: [skirt]}',
            {'top': ['shirt', 'coat'], 'low': {'a': ['jeans'], 'b': ['skirt']}},
            ['hat'],
        ),
        (
            'name: x\ngroups: {top: [shirt, coat]}\nungrouped: [hat]\naliases: {hat: [cap]}',
            {'top': ['shirt', 'coat']},
            ['hat'],
        ),
    ],
)
def test_from_yaml(tmp_path, text, groups, ungrouped):
    (tmp_path / 'mine.yaml').write_text(text)
    out = tmp_path / 'out.yaml'
    assert run('--from', 'yaml', tmp_path / 'mine.yaml', '--out', out).status == 0
    expected = Taxonomy.load({'groups': groups, 'ungrouped': ungrouped})
    taxonomy = Taxonomy.load(out)
    assert taxonomy.name == ('x' if 'name' in text else 'mine')
    assert dict(zip(taxonomy.classes, taxonomy.paths, strict=True)) == (
        dict(zip(expected.classes, expected.paths, strict=True))
    )
    again = tmp_path / 'again.yaml'
    run('--from', 'yaml', out, '--out', again)
    assert again.read_bytes() == out.read_bytes()


def test_nothing_is_replaced_unless_told(files):
    out = files / 'c.yaml'
    out.write_text('mine')
    arguments = '--from', 'coco', files / 'coco.json', '--out', out
    assert f'{out}: already exists, from another command; name another' in fails(*arguments)
    assert out.read_text() == 'mine'
    assert run(*arguments, '--force').status == 0
    assert Taxonomy.load(out).num_classes == 3
    read = files / 'coco.json'
    line = fails('--from', 'coco', read, '--out', read, '--force')
    assert line == f'error: {read}: would replace the input {read}; write elsewhere'


@pytest.mark.parametrize(
    ('source', 'text', 'message'),
    [
        ('coco', '{"images": []}', "no list of 'categories'"),
        ('coco', '{', 'not valid JSON'),
        ('openimages', '[]', 'not an object with a LabelName'),
        ('openimages', '{"LabelName": "a"}', 'is a leaf'),
        ('yaml', '', 'the file is empty'),
        ('yaml', '[{top: [a]}, {top: [b]}]', "group 'top' is listed twice"),
        ('yaml', '[a, a]', 'listed twice'),
        ('yaml', '[a, 3]', 'not text; quote it'),
        ('yaml', 'a: [b', 'not valid YAML'),
        ('yaml', '{top: [a, b]}', 'one group'),
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path, source, text, message):
    path = tmp_path / 'in.file'
    path.write_text(text)
    line = fails('--from', source, path, '--out', tmp_path / 'out.yaml')
    assert line.count(f'{path}: ') == 1 and message in line
    assert not (tmp_path / 'out.yaml').exists()


def test_options_that_do_not_go_together(files):
    line = fails('--from', 'coco', files / 'coco.json', '--node', 'x')
    assert 'go with --from openimages' in line
    assert 'no such file' in fails('--from', 'yaml', files / 'none.yaml')


def test_all_files_or_none(files):
    path = files / 'mine.yaml'
    path.write_text('{top: [shirt, coat], bottom: [jeans, skirt], foot: [boot, sandal]}')
    line = fails('--from', 'yaml', path, '--out', files / 'x.yaml', '--controls', path / 'no')
    assert 'mine.yaml' in line and not (files / 'x.yaml').exists()


def test_controls_next_to_a_taxonomy(files):
    """Files that a grouped head takes, each."""
    path, folder = files / 'mine.yaml', files / 'groups'
    path.write_text('{top: [shirt, coat], bottom: [jeans, skirt], foot: [boot, sandal]}')
    out = folder / 'given.yaml'
    result = run('--from', 'yaml', path, '--out', out, '--controls', folder)
    names = ['random_1', 'random_2', 'random_3', 'identity', 'one_group']
    assert result.err.endswith(f'\ncontrols: {folder}/{{{",".join(names)}}}.yaml\n')
    assert {file.stem for file in folder.iterdir()} == {'given', *names}
    size = dict(in_channels=1, roi_feat_size=1, fc_out_channels=2)
    for name in ('given', *names):
        taxonomy = Taxonomy.load(folder / f'{name}.yaml')
        head = MultiGrainedBBoxHead(taxonomy=str(folder / f'{name}.yaml'), **size)
        assert head.taxonomy.classes == ('shirt', 'coat', 'jeans', 'skirt', 'boot', 'sandal')
        check_heads(
            SimpleNamespace(named_modules=lambda head=head: [('roi_head.bbox_head', head)]),
            dict(classes=taxonomy.classes, taxonomy=taxonomy),
            source='a.json',
        )
    arguments = '--from', 'yaml', path, '--controls', folder
    line = fails(*arguments)
    assert line.startswith(f'error: {folder}/random_1.yaml: already exists')
    assert run(*arguments, '--force').status == 0
    (files / 'flat.yaml').write_text('[a, b]')
    line = fails('--from', 'yaml', files / 'flat.yaml', '--controls', files / 'none')
    assert "taxonomy 'flat' has no groups that controls" in line and not (files / 'none').exists()

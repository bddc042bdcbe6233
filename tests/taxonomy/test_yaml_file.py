"""The YAML file as text: strict reading, one line for every fault, faithful writing."""

import time

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError, yaml_file
from mmdet_multigrain.taxonomy.schema import KEYS

PLAIN = """
name: cloth
groups:
  top: [shirt, coat]
  bottom: [jeans]
ungrouped: [belt]
"""


@pytest.fixture
def refused(tmp_path):
    """Write a file, see that it is refused in one line, return what is said after its name."""

    def refuse(content):
        path = tmp_path / 'cloth.yaml'
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(TaxonomyError) as caught:
            Taxonomy.load(path)
        message = str(caught.value)
        assert message.startswith(f'{path}: ')
        assert len(message.splitlines()) == 1
        return message.removeprefix(f'{path}: ')

    return refuse


@pytest.mark.parametrize('suffix', ['.yaml', '.yml', '.YAML'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
def test_plain_file(tmp_path, suffix, encoding):
    path = tmp_path / f'x{suffix}'
    path.write_text(PLAIN, encoding=encoding)
    taxonomy = Taxonomy.load(path)
    assert taxonomy.name == 'cloth'
    assert taxonomy.classes == ('shirt', 'coat', 'jeans', 'belt')
    assert taxonomy.group_names(0) == ('top', 'bottom', 'belt')
    assert Taxonomy.from_yaml(str(path)) == taxonomy


def test_the_file_gives_the_name_that_the_text_lacks(tmp_path):
    path = tmp_path / 'my_cloth.yaml'
    path.write_text('top: [shirt]\nbottom: [jeans]\n')
    assert Taxonomy.load(path).name == 'my_cloth'


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('groups:\n  top: [shirt\nbottom: x', 'line 3: not valid YAML: '),
        ('groups: {a: [b]}\n\ttop: x', 'line 2: not valid YAML: '),
        ('a: *nothing', 'line 1: not valid YAML: found undefined alias'),
        ('a: !!python/object:os.system []', 'line 1: not valid YAML: could not determine'),
        ('a: [b]\n---\nc: [d]', 'line 2: not valid YAML: '),
        ('? [a]\n: b', 'line 1: not valid YAML: found unhashable key'),
        ('a: \x00', 'not valid YAML: '),
        ('a: [2001-99-99]', 'not valid YAML: '),
        ('a: [!!int x]', 'not valid YAML: '),
        ('a: [!!bool x]', 'not valid YAML: '),
        ('a: [!!timestamp x]', 'not valid YAML: '),
        ('top: [a]\nbottom: [b]\ntop: [c]', "line 3: key 'top' is given twice (first on line 1)"),
        (
            'groups:\n  top: [a]\n  "top": [b]\n',
            "line 3: key 'top' is given twice (first on line 2)",
        ),
        ('', 'the file is empty'),
        ('# nothing\n', 'the file is empty'),
        ('- a\n- b', 'a taxonomy is a mapping such as'),
        ('shirt', 'a taxonomy is a mapping such as'),
        ('[' * 5000, 'not a taxonomy: nested too deeply'),
        (b'\x89PNG\r\n\x1a\n\xff\xd8', 'this is not UTF-8 text'),
        (PLAIN.encode('utf-16'), 'this is not UTF-8 text'),
    ],
)
def test_refused(refused, text, said):
    assert refused(text).startswith(said)


@pytest.mark.parametrize(
    ('scalar', 'read'),
    [('no', 'False'), ('on', 'True'), ('3', '3'), ('1.5', '1.5'), ('2024-01-02', 'datetime.date')],
)
def test_what_yaml_reads_as_something_else(refused, scalar, read):
    message = refused(f'top: [shirt, {scalar}]\nbottom: [jeans]')
    assert message.startswith(f"a class in group 'top' is {read}")
    assert 'quote it' in message
    assert 'quote it' in refused(f'{scalar}: [shirt]\nbottom: [jeans]')


def test_a_file_that_refers_to_itself(refused):
    assert 'more than 20 groups' in refused('groups: &g\n  top: *g\n  bottom: [x]')
    assert "a class in group 'top' is" in refused('groups:\n  top: &g [a, *g]\n  bottom: [x]')


def test_a_billion_repetitions_end_at_once(refused):
    lines = ['a0: &a0 [x]'] + [f'a{i}: &a{i} {{l: *a{i - 1}, r: *a{i - 1}}}' for i in range(1, 19)]
    assert "class 'x' is in two groups, 'a0' and 'a1 / l'" in refused('\n'.join(lines))
    lists = ['a0: &a0 [x]'] + [
        f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 9)}]' for i in range(1, 19)
    ]
    assert "a class in group 'a1' is [['x']" not in refused('\n'.join(lists[::-1]))
    assert "a class in group 'a1' is" in refused('\n'.join(lists))


def test_a_billion_merged_keys_end_at_once(refused):
    lines = ['a0: &a0 {x: [y]}'] + [
        f'a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}' for i in range(1, 40)
    ]
    started = time.process_time()
    # PyYAML 6.0.4 merges a key once; before, it doubles them.
    assert refused('\n'.join(lines)).startswith(
        ('line 18: over 100,000 keys by merging', "class 'y' is in two groups, 'a0 / x' and")
    )
    assert time.process_time() - started < 5


def test_too_many_merged_keys(refused, monkeypatch):
    monkeypatch.setattr(yaml_file, 'MAX_MERGED', 3)
    text = 'a: &a {x: [y], z: [u]}\nb: {v: [w], <<: *a}'
    assert refused(text).startswith("class 'y' is in two groups")
    text = text.replace('}\n', ', t: [s]}\n')
    assert refused(text) == 'line 2: over 3 keys by merging (<<); list classes once'


@pytest.mark.parametrize('number', ['1' + ':1' * 200_000, '1' + ':1' * 200_000 + '.5', '9' * 200])
def test_a_number_that_takes_for_ever_to_read(refused, number):
    started = time.process_time()
    assert refused(f'top: [shirt]\nbottom: [{number}]').startswith('line 2: number ')
    assert time.process_time() - started < 5  # of base 60, it takes PyYAML a minute


def test_numbers_of_base_60_are_no_names(refused):
    assert refused('top: [shirt]\nbottom: [1:30]').startswith("a class in group 'bottom' is 90")


def test_limits():
    assert yaml_file.MAX_BYTES == 4 * 1024 * 1024
    assert yaml_file.MAX_MERGED == 100_000
    assert yaml_file.parse(b'a: ' + b'9' * 100) == {'a': 10**100 - 1}
    with pytest.raises(TaxonomyError, match='is too long; quote it if it is a name'):
        yaml_file.parse(b'a: ' + b'9' * 101)


def test_lists_of_sixty_letters_are_on_one_line():
    assert f'\na: [{"b" * 30}, {"c" * 30}]\n' in yaml_file.dump({'a': ['b' * 30, 'c' * 30]})
    assert f'\na:\n- {"b" * 30}\n- {"c" * 31}\n' in yaml_file.dump({'a': ['b' * 30, 'c' * 31]})


def test_a_file_too_large_to_be_one(tmp_path):
    path = tmp_path / 'x.yaml'
    path.write_bytes(b'a: [b]\n' + b'#' * yaml_file.MAX_BYTES)
    with pytest.raises(TaxonomyError, match=r'x.yaml: cannot be read \(over 4 MiB, more'):
        Taxonomy.load(path)
    path.write_bytes(path.read_bytes()[: yaml_file.MAX_BYTES])
    assert Taxonomy.load(path).classes == ('b',)


def test_merge_keys_are_no_repetition(tmp_path):
    path = tmp_path / 'x.yaml'
    path.write_text('groups:\n  base: &b {x: [a], y: [b]}\n  more:\n    <<: *b\n    x: [c]\n')
    with pytest.raises(TaxonomyError, match="class 'b' is in two groups"):
        Taxonomy.load(path)


def test_the_text_explains_its_keys():
    comment = yaml_file.dump({'name': 'x'}).split('\n\n')[0]
    assert all(line.startswith('#') for line in comment.splitlines())
    for key in set(KEYS) - {'name', 'description'}:
        assert f'{key}:' in comment


def test_text_is_editable_yaml():
    text = Taxonomy.from_mapping({'top': ['no', 'straße'], 'bottom': ['3']}).to_yaml()
    assert "['no', straße]" in text
    assert yaml.safe_load(text)['groups'] == {'top': ['no', 'straße'], 'bottom': ['3']}


YAML_PIECES = st.lists(
    st.sampled_from(
        [
            'groups',
            'classes',
            'ungrouped',
            'aliases',
            'levels',
            'name',
            'top',
            'hat',
            'no',
            '3',
            ': ',
            ':\n  ',
            '\n',
            '\n  - ',
            '- ',
            '[',
            ']',
            '{',
            '}',
            ', ',
            '&a ',
            '*a',
            '!!int ',
            '"',
            "'",
            '|',
            '? ',
            '<<',
            '#',
            '\t',
            '2001-99-99',
            '0x',
            '~',
            '---',
            '%',
            '1e999',
            '1:60',
        ]
    ),
    max_size=30,
)


@settings(deadline=None)
@given(st.one_of(st.text(), YAML_PIECES.map(''.join), st.binary()))
@example('groups: {a: [b], c: [d]}\nlevels: 99999999999')
@example('1' * 5000)
@example('0x' + 'f' * 9999 + ': [a]')
@example('top: 0x' + 'f' * 9999)
def test_any_text_gives_a_taxonomy_or_one_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / 'any.yaml'
    path.write_bytes(text if isinstance(text, bytes) else text.encode('utf-8', 'surrogatepass'))
    try:
        taxonomy = Taxonomy.load(path)
    except TaxonomyError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert Taxonomy.load(taxonomy.to_dict()) == taxonomy


@pytest.mark.parametrize(
    'tag',
    [
        '!!python/object/apply:os.mkdir [MARKER]',
        '!!python/object/new:os.mkdir [MARKER]',
        '!!python/name:os.mkdir',
        '!!python/module:os',
        '!!python/object:object {}',
        '!!python/tuple [a, b]',
    ],
)
@pytest.mark.parametrize('place', ['TAG', 'name: TAG', 'groups:\n  top: TAG', '? TAG\n: x'])
def test_no_object_of_python_is_built(refused, tmp_path, tag, place):
    marker = tmp_path / 'the code has run'
    assert 'python/' in refused(place.replace('TAG', tag.replace('MARKER', str(marker))))
    assert not marker.exists()

"""The Taxonomy value: its questions, its messages, and that it is a value."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError


def make_cloth():
    return Taxonomy.load(
        {
            'name': 'cloth',
            'groups': {'top': ['short sleeve top', 'coat'], 'bottom': ['jeans', 'shorts']},
            'ungrouped': ['watch'],
            'aliases': {'short sleeve top': ['short_sleeved_shirt', 'tee'], 'watch': ['/m/0gjkl']},
        }
    )


@pytest.fixture
def cloth():
    return make_cloth()


def refusal(function, *args, **kwargs):
    with pytest.raises(TaxonomyError) as caught:
        function(*args, **kwargs)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# ---------------------------------------------------------------- levels and groups


def test_levels_and_groups(cloth):
    assert cloth.name == 'cloth'
    assert cloth.classes == ('short sleeve top', 'coat', 'jeans', 'shorts', 'watch')
    assert (cloth.num_classes, cloth.num_levels) == (5, 2)
    assert cloth.group_names(0) == cloth.group_names(-2) == ('top', 'bottom', 'watch')
    assert cloth.group_index(0) == cloth.group_index(-2) == (0, 0, 1, 1, 2)
    assert cloth.group_names(1) == cloth.group_names(-1) == cloth.classes
    assert cloth.group_index(1) == cloth.group_index(-1) == (0, 1, 2, 3, 4)
    assert [cloth.num_groups(level) for level in (0, 1, -1)] == [3, 5, 5]
    assert not cloth.is_ungrouped


@pytest.mark.parametrize('level', [2, -3])
def test_no_such_level(cloth, level):
    for ask in (cloth.group_names, cloth.group_index, cloth.num_groups):
        with pytest.raises(IndexError, match=f"level {level} is not in taxonomy 'cloth'"):
            ask(level)


def test_superclass_of(cloth):
    assert cloth.superclass_of(3) == cloth.superclass_of('Shorts') == 'bottom'
    assert cloth.superclass_of('tee') == 'top'
    assert cloth.superclass_of('watch') == 'watch'
    assert cloth.superclass_of('tee', level=1) == cloth.superclass_of(0, -1) == 'short sleeve top'
    assert "'shrots' is not in taxonomy 'cloth'" in refusal(cloth.superclass_of, 'shrots')
    for label in (5, -1):
        assert refusal(cloth.superclass_of, label) == (
            f"label {label} is not in taxonomy 'cloth'; its labels are 0 to 4"
        )


def test_ungrouped(cloth):
    plain = cloth.ungrouped()
    assert plain.is_ungrouped
    assert plain.num_levels == 2
    assert plain.classes == cloth.classes
    assert plain.aliases == cloth.aliases
    for level in (0, 1):
        assert plain.group_names(level) == cloth.classes
        assert plain.group_index(level) == (0, 1, 2, 3, 4)
    assert plain != cloth
    assert plain.ungrouped() == plain


def test_ungrouped_keeps_the_number_of_levels_but_gives_at_least_two():
    deep = Taxonomy.load({'a': {'b': {'c': ['x', 'y']}}, 'd': ['z']})
    assert (deep.num_levels, deep.ungrouped().num_levels) == (4, 4)
    flat = Taxonomy('flat', ['x', 'y'])
    assert (flat.num_levels, flat.ungrouped().num_levels) == (1, 2)
    assert flat.is_ungrouped


def test_groups_of_one_class_each_are_the_identity():
    assert Taxonomy.load({'a': ['x'], 'b': ['y']}).is_ungrouped


# ---------------------------------------------------------------- names and labels


@pytest.mark.parametrize(
    'name',
    ['short sleeve top', 'Short_Sleeve-Top', 'short_sleeved_shirt', 'SHORT SLEEVED  SHIRT', 'tee'],
)
def test_find(cloth, name):
    assert cloth.find(name) == cloth.label_of(name) == 0


@pytest.mark.parametrize('name', ['top', 'coats', '', 3, None, ['coat']])
def test_find_nothing(cloth, name):
    assert cloth.find(name) is None
    assert refusal(cloth.label_of, name, 'x.json').startswith('x.json: class ')


def test_label_of_suggests(cloth):
    assert refusal(cloth.label_of, 'caot') == (
        "class 'caot' is not in taxonomy 'cloth'; did you mean 'coat'?"
    )
    assert refusal(cloth.label_of, 'short_sleeve_shirt', 'a.json') == (
        "a.json: class 'short_sleeve_shirt' is not in taxonomy 'cloth'; "
        "did you mean 'short_sleeved_shirt'?"
    )
    assert refusal(cloth.label_of, 'zebra').endswith('; add it there or use another name')


def test_match_categories_by_name_not_position(cloth):
    names = ['watch', 'tee', 'Shorts', 'jeans', 'COAT']
    assert cloth.match_categories(names, 'a.json') == [4, 0, 3, 2, 1]


def test_match_categories_unknown(cloth):
    names = [*cloth.classes[1:], 'tees']
    assert refusal(cloth.match_categories, names, 'a.json') == (
        "a.json: 1 of 5 categories not in taxonomy 'cloth': 'tees'; did you mean 'tee'?"
    )
    names = [*cloth.classes, *'abcdefg']
    assert refusal(cloth.match_categories, names, 'a.json') == (
        "a.json: 7 of 12 categories not in taxonomy 'cloth': 'a', 'b', 'c', 'd', 'e' and 2 more; "
        'add a class or an alias to the taxonomy, or take another taxonomy'
    )
    assert cloth.match_categories(names, 'a.json', allow_unknown=True) == (
        [0, 1, 2, 3, 4] + [None] * 7
    )
    assert refusal(cloth.match_categories, ['zebra', 'watches', 'jean'], 'a.json') == (
        "a.json: 3 of 3 categories not in taxonomy 'cloth': 'zebra', 'watches', 'jean'; "
        "did you mean 'watch' by 'watches'?"
    )
    # A class that is in the file already is no likely meaning of another of its names.
    assert 'did you mean' not in refusal(cloth.match_categories, [*cloth.classes, 'coats'], 'a')


def test_match_categories_missing(cloth):
    assert refusal(cloth.match_categories, ['tee', 'jeans', 'shorts', 'watch'], 'a.json') == (
        "a.json: 1 of 5 classes of taxonomy 'cloth' not among the categories: 'coat'; "
        'add the categories, or take a taxonomy without these classes'
    )
    assert "5 of 5 classes of taxonomy 'cloth' not among the" in refusal(
        cloth.match_categories, [], 'a.json'
    )
    assert cloth.match_categories(['jeans'], 'a.json', allow_missing=True) == [2]
    message = refusal(cloth.match_categories, ['jeanz'], 'a', allow_unknown=True)
    assert message.startswith("a: 5 of 5 classes of taxonomy 'cloth'")
    assert cloth.match_categories(['x', 'tee'], '', True, True) == [None, 0]


def test_match_categories_missing_suggests_the_files_name(cloth):
    names = ['tee', 'coats', 'jeans', 'shorts', 'watch']
    assert refusal(cloth.match_categories, names, 'a', allow_unknown=True).endswith(
        "categories: 'coat'; did you mean 'coats'?"
    )


def test_match_categories_twice_the_same_class(cloth):
    names = ['tee', *cloth.classes]
    for allow in (False, True):
        assert refusal(cloth.match_categories, names, 'a.json', allow, allow) == (
            "a.json: categories 'tee' and 'short sleeve top' are both class 'short sleeve top' of "
            "taxonomy 'cloth'; merge them in the file or correct the aliases"
        )


# ---------------------------------------------------------------- loading


def test_load_what_it_is_already(cloth):
    assert Taxonomy.load(cloth) is cloth


@pytest.mark.parametrize(
    ('spec', 'said'),
    [
        (
            'deepfashion',
            "taxonomy 'deepfashion' is neither built in (deepfashion2, "
            "openimages_v4_clothing) nor a .yaml, .yml or COCO .json file; did you mean 'deepfashion2'?",
        ),
        (
            'zebra',
            "taxonomy 'zebra' is neither built in (deepfashion2, openimages_v4_clothing) nor a",
        ),
        (Path('x.txt'), "taxonomy 'x.txt' is neither built in"),
        ('nothing.yaml', 'nothing.yaml: no such file; check the path'),
        (Path('nothing.json'), 'nothing.json: no such annotation file; check the path'),
        (None, 'a taxonomy cannot be read from None; give a built-in name'),
        (['a'], "a taxonomy cannot be read from ['a']"),
        ({'groups': 3}, 'mapping: groups is 3'),
    ],
)
def test_load_nothing(spec, said):
    assert refusal(Taxonomy.load, spec).startswith(said)


def test_constructor_checks_what_it_gets():
    assert 'there is no class' in refusal(Taxonomy, 'x', [])
    assert '2 classes but 1 paths' in refusal(Taxonomy, 'x', ['a', 'b'], [()])
    assert "class 'a' is listed twice" in refusal(Taxonomy, 'x', ['a', 'a'])
    assert 'a group is 3, not text' in refusal(Taxonomy, 'x', ['a', 'b'], [(3,), ()])


# ---------------------------------------------------------------- a value


def test_immutable(cloth):
    with pytest.raises(AttributeError, match='cannot'):
        cloth.name = 'x'
    with pytest.raises(AttributeError, match='cannot'):
        del cloth.name
    with pytest.raises(AttributeError):
        cloth.more = 1
    with pytest.raises(TypeError):
        cloth.aliases['coat'] = ('x',)
    assert cloth == make_cloth()


def test_equality_and_hash(cloth):
    assert cloth == make_cloth() and hash(cloth) == hash(make_cloth())
    assert cloth != 'cloth'
    for changed in (
        {'name': 'other'},
        {'classes': list(reversed(cloth.classes))},
        {'aliases': {}},
        {'groups': {'tops': ['short sleeve top', 'coat'], 'bottom': ['jeans', 'shorts']}},
        {'groups': {'top': ['short sleeve top'], 'bottom': ['jeans', 'shorts', 'coat']}},
        {'levels': 3},
    ):
        assert Taxonomy.load({**cloth.to_dict(), **changed}) != cloth


def test_pickle_and_copy(cloth):
    for taxonomy in (cloth, cloth.ungrouped(), Taxonomy.load('openimages_v4_clothing')):
        assert pickle.loads(pickle.dumps(taxonomy)) == taxonomy
        assert copy.deepcopy({'metainfo': taxonomy}) == {'metainfo': taxonomy}
        assert copy.copy(taxonomy) == taxonomy


def test_repr(cloth):
    assert repr(cloth) == "Taxonomy('cloth', 3 > 5 classes)"


def test_to_dict_is_plain_and_fresh(cloth):
    def plain(value):
        if isinstance(value, dict):
            return all(type(key) is str and plain(item) for key, item in value.items())
        return type(value) in (str, int) or type(value) is list and all(map(plain, value))

    mapping = cloth.to_dict()
    assert plain(mapping)
    mapping['groups']['top'].append('x')
    assert cloth == make_cloth()


# ---------------------------------------------------------------- the package


def test_imports_without_torch_and_the_openmmlab_packages():
    blocker = (
        'import sys\n'
        'for name in ("torch", "torchvision", "mmcv", "mmengine", "mmdet", "numpy"):\n'
        '    sys.modules[name] = None\n'  # makes an import of it fail
        'from mmdet_multigrain.taxonomy import Taxonomy\n'
        'print(Taxonomy.load("deepfashion2").num_classes)\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', blocker],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert (result.returncode, result.stdout) == (0, '13\n'), result.stderr

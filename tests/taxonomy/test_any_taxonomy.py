"""What holds for any taxonomy, drawn at random."""

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.taxonomy.names import check_name, normalize


def is_name(text):
    try:
        check_name(text, 'x')
    except TaxonomyError:
        return False
    return True


NAMES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            'no',
            '3',
            '~',
            '<<',
            '# a',
            "it's",
            'a: b',
            '*a',
            '=',
            'é',
            '2024-01-01',
            ' x ',
            '"',
            '\u2060',
            '\ufeff',
        ]
    ),
).filter(is_name)


@st.composite
def taxonomies(draw):
    """Random trees: leaves at any depth in any label order, groups and aliases of any name."""
    names = draw(st.lists(NAMES, unique_by=normalize, min_size=2, max_size=24))
    count = draw(st.integers(1, len(names) // 2 + 1))
    leaves, others = names[:count], names[count:]
    nodes = [()]
    for name in others[: len(others) // 2]:
        nodes.append((*draw(st.sampled_from(nodes)), name))
    paths = [draw(st.sampled_from(nodes)) for _ in leaves]
    aliases = {}
    for alias in others[len(others) // 2 :]:
        aliases.setdefault(draw(st.sampled_from(leaves)), []).append(alias)
    if count > 1 and len({path[:1] for path in paths}) == 1:
        paths[0] = ()
        if not any(paths):
            paths = None
    needed = 1 + max(map(len, paths)) if paths else 1
    return Taxonomy(
        draw(NAMES), leaves, paths, aliases=aliases, num_levels=needed + draw(st.integers(0, 2))
    )


@settings(deadline=None)
@given(taxonomies())
def test_round_trips(tmp_path_factory, taxonomy):
    path = tmp_path_factory.getbasetemp() / 'any_taxonomy.yaml'
    for variant in (taxonomy, taxonomy.ungrouped()):
        again = Taxonomy.load(variant.to_dict())
        assert again == variant and again.paths == variant.paths
        path.write_text(variant.to_yaml(), encoding='utf-8')
        assert Taxonomy.load(path) == variant
        assert pickle.loads(pickle.dumps(variant)) == variant


@settings(deadline=None)
@given(taxonomies())
def test_levels_are_nested_partitions(taxonomy):
    """Against the definition: one group means one path so far, and finer levels only split."""
    last = taxonomy.num_levels - 1
    assert taxonomy.group_names(last) == taxonomy.classes
    for level in range(taxonomy.num_levels):
        index, names = taxonomy.group_index(level), taxonomy.group_names(level)
        assert list(dict.fromkeys(index)) == list(range(len(names)))  # by first appearance
        for a, path_a in enumerate(taxonomy.paths):
            grouped = level < len(path_a)
            assert names[index[a]] == (path_a[level] if grouped else taxonomy.classes[a])
            for b, path_b in enumerate(taxonomy.paths):
                same = a == b or grouped and path_a[: level + 1] == path_b[: level + 1]
                assert (index[a] == index[b]) == same
                if level < last and index[a] != index[b]:
                    finer = taxonomy.group_index(level + 1)
                    assert finer[a] != finer[b]


@settings(deadline=None)
@given(taxonomies(), st.data())
def test_permuting_classes_permutes_the_groups(taxonomy, data):
    order = data.draw(st.permutations(range(taxonomy.num_classes)))
    mapping = {**taxonomy.to_dict(), 'classes': [taxonomy.classes[old] for old in order]}
    permuted = Taxonomy.load(mapping)
    for level in range(taxonomy.num_levels):
        old_names, new_names = taxonomy.group_names(level), permuted.group_names(level)
        assert set(old_names) == set(new_names)
        for new, old in enumerate(order):
            assert (
                new_names[permuted.group_index(level)[new]]
                == old_names[taxonomy.group_index(level)[old]]
            )


@settings(deadline=None)
@given(taxonomies())
def test_every_name_is_found(taxonomy):
    names = list(taxonomy.classes)
    for label, name in enumerate(names):
        for known in (name, *taxonomy.aliases.get(name, ())):
            assert taxonomy.find(known) == label
    backwards = taxonomy.match_categories(names[::-1], 'x')
    assert backwards == list(range(len(names)))[::-1]

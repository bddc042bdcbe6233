"""Property: a repaired copy of a file with any faults is clean and stays as it is."""

import copy
import json
import math
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st

from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.dataset import check_files
from mmdet_multigrain.checks.fix import repair
from mmdet_multigrain.checks.photos import Photo
from mmdet_multigrain.utils.errors import CheckError

from .small_files import CATEGORIES, box, image

odd = st.sampled_from([None, 0, 1, 2, 3, -1, 1.0, 2.5, '1', 'a', True, [], {}, math.nan, 10**30])
ids = st.one_of(st.integers(1, 4), odd)
sides = st.one_of(
    st.integers(0, 120),
    st.floats(-20, 130),
    st.sampled_from([math.nan, math.inf, 1e308, 10**400, '7', None, 1e-300, -1e-9]),
)
boxes = st.one_of(
    st.lists(st.integers(1, 60), min_size=4, max_size=4),
    st.lists(sides, min_size=4, max_size=4),
    st.sampled_from([None, [], [1, 2, 3], 'x']),
)
sizes = st.one_of(st.sampled_from([100, 80, 50]), odd)


def nearly(entry, **faults):
    """An entry that is as a rule well, or with some fields of other values or left out."""
    faulty = st.fixed_dictionaries({}, optional=faults)
    left_out = st.sets(st.sampled_from(sorted(faults)), max_size=1)
    damaged = st.builds(
        lambda entry, faults, gone: {
            key: value for key, value in {**entry, **faults}.items() if key not in gone
        },
        entry,
        faulty,
        left_out,
    )
    return st.one_of(entry, entry, damaged, damaged, st.sampled_from([None, 3]))


known_names = ('1.jpg', '2.jpg', '3.jpg', '4.jpg', 'A.jpg', 'a.jpg', '/c.jpg', '../d.jpg', '1', 'a')
names = st.sampled_from([*known_names, ''])
photo_of = st.one_of(
    st.builds(
        Photo,
        st.just('p'),
        st.sampled_from([(100, 80), (80, 100), (50, 40), (104, 80), (60, 80), (101, 80)]),
        orientation=st.sampled_from([1, 3, 6]),
    ),
    st.just(Photo('p')),
    st.just(Photo('p', problem='broken')),
    st.just(Photo('p', (100, 80))),
)
numbers = st.integers(1, 4)
contents = st.fixed_dictionaries(
    {
        'images': st.lists(
            nearly(
                numbers.map(image),
                id=ids,
                file_name=st.one_of(names, odd),
                width=sizes,
                height=sizes,
            ),
            max_size=5,
        ).map(lambda entries: [*entries, image(9)]),  # there is something to keep
        'annotations': st.lists(
            nearly(
                st.builds(
                    box,
                    st.integers(1, 9),
                    st.integers(-20, 99),
                    st.integers(-20, 79),
                    st.integers(1, 60),
                    st.integers(1, 60),
                    image_id=numbers,
                    category_id=st.integers(1, 2),
                ),
                id=ids,
                image_id=ids,
                category_id=ids,
                bbox=boxes,
                area=sides,
                iscrowd=st.one_of(st.sampled_from([0, 1]), odd),
                segmentation=st.just([[1] * 6]),
            ),
            max_size=8,
        ).map(lambda entries: [*entries, box(90, 40, 0, image_id=9)]),
        'categories': st.lists(
            nearly(
                st.sampled_from(CATEGORIES),
                id=ids,
                name=st.sampled_from(['vest', 'coat', 'Vest', None]),
                supercategory=st.sampled_from(['top', 'vest', None]),
            ),
            max_size=4,
        ).map(lambda entries: [CATEGORIES[0], *entries]),
    },
    optional={'info': odd},
)
photos = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {name: photo_of for name in known_names} | {'9.jpg': st.just(Photo('p', (100, 80)))}
    ),
)


def checked(content, photos, not_strict=''):
    return CocoData(content, path=Path('x.json'), photos=photos, not_strict=not_strict)


@settings(max_examples=300, deadline=None)
@given(content=contents, photos=photos)
def test_a_repaired_copy_is_clean_and_stays_as_it_is(content, photos):
    before = copy.deepcopy(content)
    found = check_files([checked(content, photos)])
    assert all(len(finding.examples) <= min(3, finding.count) for finding in found.findings)
    try:
        fixed = repair(checked(content, photos, 'NaN'))
    except CheckError as error:
        fixed = None
        event(str(error)[:40])
    assert repr(content) == repr(before)  # repr, for NaN is not equal to itself
    if fixed is None:
        return
    first = fixed.encoded()
    again = checked(json.loads(first), photos)
    assert [found for found in check_files([again]).findings if found.check.fixable] == []
    event(f'{min(len(fixed.done), 5)} done')
    repeated = repair(again)
    assert repeated.encoded() == first and not repeated.done

"""The Open Images converter against a naive reference, and on any text."""

import math
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmdet_multigrain.converters import openimages as module
from mmdet_multigrain.utils.errors import ConverterError

from .openimages_release import SELECTION, row, run, write


def reference(rows, sizes, group_of):
    """The annotations by image, as a plain loop over the rows."""
    result = {}
    for image, label_name, box, flags in rows:
        label = SELECTION.labels.get(label_name)
        try:
            x1, x2, y1, y2 = map(float, box)
        except ValueError:
            continue
        if (
            label is None
            or image not in sizes
            or not all(map(math.isfinite, (x1, x2, y1, y2)))
            or x1 >= x2
            or y1 >= y2
            or x2 <= 0
            or y2 <= 0
            or x1 >= 1
            or y1 >= 1
            or flags[2] not in (-1, 0, 1)
            or group_of == 'drop'
            and flags[2] == 1
        ):
            continue
        width, height = sizes[image]
        x1, x2 = (min(max(value, 0), 1) * width for value in (x1, x2))
        y1, y2 = (min(max(value, 0), 1) * height for value in (y1, y2))
        if x2 - x1 > 0.002 and y2 - y1 > 0.002:  # the tests' boxes are larger or empty
            result.setdefault(image, []).append(
                (label + 1, (x1, y1, x2 - x1, y2 - y1), int(flags[2] == 1), flags)
            )
    return dict(sorted(result.items()))


COORDINATE = st.sampled_from(['-0.5', '0', '0.0', '0.25', '0.5', '0.75', '1', '1.5', '']) | (
    st.integers(0, 100).map(lambda n: str(n / 100))
)
ROWS = st.lists(
    st.tuples(
        st.sampled_from('abcd'),
        st.sampled_from(['/m/shirt', '/m/coat', '/m/hat', '/m/dog', '']),
        st.tuples(*[COORDINATE] * 4) | st.just(('0.1', '0.9', '0.2', '0.8')),
        st.tuples(
            *[st.sampled_from([-1, 0, 1])] * 2,
            st.sampled_from([-1, 0, 1, 1, 2]),
            *[st.sampled_from([-1, 0, 1])] * 2,
        ),
    ),
    max_size=25,
)


@given(ROWS, st.sampled_from(['crowd', 'drop']))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80
)
def test_same_as_a_naive_reference(tmp_path, monkeypatch, rows, group_of):
    sizes = {'a': (100, 200), 'b': (50, 50), 'c': (1024, 683)}
    expected = reference(rows, sizes, group_of)
    write(
        tmp_path,
        *(row(*values) for values in rows),
        sizes='Height,ImageID,Width\n'
        + ''.join(f'{height},{name},{width}\n' for name, (width, height) in sizes.items()),
    )
    with monkeypatch.context() as patch:
        patch.setattr(module, 'WRONG_COLUMNS', 1)
        try:
            _, coco = run(tmp_path, group_of=group_of, force=True)
        except ConverterError:
            assert not expected
            return
    names = {image['id']: image['file_name'][:-4] for image in coco['images']}
    assert list(names) == list(range(1, len(names) + 1)) and list(names.values()) == list(expected)
    assert [a['id'] for a in coco['annotations']] == list(range(1, len(coco['annotations']) + 1))
    found = {}
    for a in coco['annotations']:
        assert a['area'] == pytest.approx(a['bbox'][2] * a['bbox'][3], abs=1e-3)
        found.setdefault(names[a['image_id']], []).append(
            (
                a['category_id'],
                pytest.approx(tuple(a['bbox']), abs=2e-3),
                a['iscrowd'],
                tuple(a[name] for name in module.FLAGS.values()),
            )
        )
    assert found == expected


@given(st.lists(st.text('aX/m/shirt0123.-,"\n\r\x00é', max_size=30), max_size=6))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
def test_any_text_gives_a_file_or_one_line(tmp_path, lines):
    shutil.rmtree(tmp_path / 'out', ignore_errors=True)
    write(tmp_path, row(), *lines)
    try:
        _, coco = run(tmp_path)
    except ConverterError as error:
        assert '\n' not in str(error) and not (tmp_path / 'out').exists()
    else:
        assert coco['annotations'] and os.listdir(tmp_path / 'out') == ['train.json']

"""Image sizes from a CSV file and from a folder."""

import polars as pl
import pytest
from PIL import Image

from mmdet_multigrain.converters.openimages_sizes import sizes_of_csv, sizes_of_files
from mmdet_multigrain.utils.errors import ConverterError
from mmdet_multigrain.utils.images import TURNS
from mmdet_multigrain.utils.problems import Problems


def of_csv(path, text, *image_ids):
    path.write_bytes(text.encode())
    problems = Problems()
    sizes = sizes_of_csv(pl.Series(image_ids), path, problems=problems)
    return dict((row[0], row[1:]) for row in sizes.iter_rows()), problems


@pytest.fixture
def path(tmp_path):
    return tmp_path / 's.csv'


@pytest.mark.parametrize(
    'text',
    [
        'ImageID,Width,Height\na,10,20\nb,30,40\nc,1,1\n',
        'height,x,IMAGEID,width\r\n20,,a,10\r\n40,,b,30\r\n',
        '\ufeff"ImageID","Width","Height"\n"b","30.0","40"\n"a",1e1,20\n',
        'ImageID,Width,Height\na,10,20\na,10,20\nb,30,40\n',  # the same again
    ],
)
def test_columns_in_any_order_and_case(path, text):
    sizes, problems = of_csv(path, text, 'a', 'b')
    assert sizes == {'a': (10, 20), 'b': (30, 40)} and not problems.counts


def test_unusable_sizes_are_counted_with_their_lines(path):
    bad = ['0,5', '-1,5', '1.5,5', 'x,5', ',5', 'nan,5', 'inf,5', '5,70000']
    text = 'ImageID,Width,Height\na,1,2\n' + ''.join(f'b,{size}\n' for size in bad)
    sizes, problems = of_csv(path, text, 'a', 'b')
    assert sizes == {'a': (1, 2)}
    assert problems.counts == {
        'size that is not a number of pixels': len(bad),
        'image without a size in s.csv': 1,
    }
    assert problems.examples['size that is not a number of pixels'][0] == 's.csv line 3 0 x 5'
    assert problems.examples['image without a size in s.csv'] == ['b.jpg']


def test_of_two_sizes_the_first_counts(path):
    sizes, problems = of_csv(path, 'ImageID,Width,Height\na,9,9\nb,1,2\na,5,6\na,9,9\n', 'a', 'b')
    assert sizes == {'a': (9, 9), 'b': (1, 2)}
    assert problems.examples == {'second size of an image': ['s.csv line 4 a']}


def test_other_images_may_have_any_size(path):
    assert not of_csv(path, 'ImageID,Width,Height\na,1,2\nb,x,y\n', 'a')[1].counts


def test_no_size_at_all(path):
    sizes, problems = of_csv(path, 'ImageID,Width,Height\n', 'a')
    assert sizes == {} and problems.counts == {'image without a size in s.csv': 1}
    with pytest.raises(ConverterError, match='no column Height'):
        of_csv(path, 'ImageID,Width\na,1\n', 'a')


def test_sizes_of_a_folder(tmp_path):
    Image.new('RGB', (7, 5)).save(tmp_path / 'a b.jpg')
    Image.new('RGB', (6, 4)).save(tmp_path / 'ü.jpg')
    Image.new('RGB', (6, 4)).save(tmp_path / 'c.png')
    (tmp_path / 'd.jpg').write_bytes(b'')
    problems = Problems()
    sizes = sizes_of_files(pl.Series(['a b', 'c', 'd', '../x', 'ü']), tmp_path, problems=problems)
    assert sizes.rows() == [('a b', 7, 5), ('ü', 6, 4)]
    assert problems.examples == {
        'image that is not in the folder': ['c.jpg', '../x.jpg'],
        'unreadable image': ['d.jpg (an empty file)'],
    }


@pytest.mark.parametrize('orientation', range(1, 9))
def test_images_that_exif_turns_are_counted_and_kept(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new('RGB', (7, 5)).save(tmp_path / 'a.jpg', exif=exif)
    problems = Problems()
    sizes = sizes_of_files(pl.Series(['a']), tmp_path, problems=problems)
    assert sizes.rows() == [('a', 5, 7) if orientation >= 5 else ('a', 7, 5)]
    [*examples] = problems.examples.values()
    assert len(examples) == (orientation > 1)
    if examples:
        assert f'a.jpg ({TURNS[orientation]})' in examples[0]


def test_many_files_in_several_processes(tmp_path):
    Image.new('RGB', (7, 5)).save(tmp_path / '0.jpg')
    content = (tmp_path / '0.jpg').read_bytes()
    for number in range(1, 600):
        (tmp_path / f'{number}.jpg').write_bytes(content)
    problems = Problems()
    sizes = sizes_of_files(pl.Series(map(str, range(600))), tmp_path, problems=problems, workers=2)
    assert sizes.rows() == [(str(number), 7, 5) for number in range(600)]

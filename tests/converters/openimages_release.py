"""A small release of Open Images to convert."""

import json

import pytest

from mmdet_multigrain.converters.openimages import convert
from mmdet_multigrain.converters.openimages_selection import select
from mmdet_multigrain.taxonomy import Taxonomy

HEADER = (
    'ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,'
    'IsGroupOf,IsDepiction,IsInside'
)
SELECTION = select(
    Taxonomy.load(
        {
            'name': 'small',
            'groups': {'top': ['shirt', 'coat']},
            'ungrouped': ['hat'],
            'aliases': {'shirt': ['/m/shirt'], 'coat': ['/m/coat'], 'hat': ['/m/hat']},
        }
    )
)


def row(image='a', label='/m/shirt', box=(0.1, 0.5, 0.2, 0.4), flags=(0, 0, 0, 0, 0)):
    """A line of the box file; `box` as the release has it: XMin, XMax, YMin, YMax."""
    return ','.join(map(str, (image, 'xclick', label, 1, *box, *flags)))


def write(folder, *rows, header=HEADER, sizes='ImageID,Width,Height\na,100,200\nb,50,50\n'):
    (folder / 'train.csv').write_bytes('\n'.join([header, *rows, '']).encode())
    (folder / 'sizes.csv').write_text(sizes)


def run(folder, *rows, selection=SELECTION, header=HEADER, **options):
    if rows:
        write(folder, *rows, header=header)
    summary = convert(
        folder / 'train.csv',
        folder / 'out' / 'train.json',
        selection=selection,
        progress=False,
        **{'split': 'train', 'image_sizes': folder / 'sizes.csv'} | options,
    )
    return summary, json.loads(summary.out_file.read_bytes())


def fails(folder, *rows, **options):
    """The one line of an error; nothing is written."""
    with pytest.raises(ValueError) as caught:
        run(folder, *rows, **options)
    assert '\n' not in str(caught.value) and not (folder / 'out').exists()
    return str(caught.value)

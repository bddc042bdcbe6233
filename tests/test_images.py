"""Sizes from headers: equal to what OpenCV decodes, read without decoding."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdet_multigrain.images import image_size


@pytest.mark.parametrize('orientation', [None, *range(1, 9)])
def test_size_is_that_of_the_image_as_loaded(tmp_path, orientation):
    image = Image.new('RGB', (40, 24))
    exif = image.getexif()
    if orientation:
        exif[0x0112] = orientation
    image.save(tmp_path / 'a.jpg', exif=exif)
    height, width = cv2.imread(str(tmp_path / 'a.jpg'), cv2.IMREAD_COLOR).shape[:2]
    assert image_size(tmp_path / 'a.jpg') == (width, height)
    assert (width, height) == ((24, 40) if (orientation or 1) > 4 else (40, 24))


def test_size_is_read_without_decoding(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)).save(
        tmp_path / 'a.jpg')
    content = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').write_bytes(content[:1000])  # the header and a little of the picture
    assert image_size(tmp_path / 'a.jpg') == (320, 240)

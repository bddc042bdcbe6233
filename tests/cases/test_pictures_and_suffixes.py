"""Cases 06 and 07: a picture of each photo, a prediction for each file that training reads."""

import pytest

from ..conftest import READS_GIF


def test_photos_of_one_name_in_several_folders(run_case):
    output = run_case('06')
    assert 'images in val.json: 8' in output
    # Its list shows the folders: a picture of each photo is in the folder of its file name.
    assert {f'val_batch_{number}' for number in range(4)} <= set(output.splitlines())


@pytest.mark.skipif(not READS_GIF, reason='this OpenCV reads no GIF')
def test_a_folder_with_many_suffixes(run_case):
    output = run_case('07')
    assert '6 images' in output and 'exit 0' in output
    for number, suffix in enumerate(('webp', 'bmp', 'tif', 'gif', 'jfif', 'png')):
        assert f"'train_00{number}.{suffix}'" in output

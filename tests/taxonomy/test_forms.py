"""What a taxonomy is read from."""

import pytest

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError


def test_a_fault_is_that_of_a_file(tmp_path):
    path = tmp_path / 'val.json'
    path.write_text('{"images": [], "annotations": [], "categories": []}')
    for source, named in ((None, path), ('mine', 'mine')):
        with pytest.raises(TaxonomyError) as caught:
            Taxonomy.from_coco(path, source)
        assert str(caught.value).startswith(f"{named}: 'categories' is empty")

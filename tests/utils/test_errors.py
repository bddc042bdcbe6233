"""What kinds of errors there are, and which option helps with one."""

import pytest

from mmdet_multigrain.utils import errors


def test_kinds_and_their_options():
    kinds = {
        name: (kind.__mro__[1].__name__, kind.option)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert kinds.pop('MultigrainError') == ('ValueError', None)
    assert kinds.pop('UntrustedCheckpointError') == ('CheckpointError', 'trust-checkpoint')
    assert kinds.pop('LostProcessError') == ('ProcessError', 'resume')
    assert {*kinds.values()} == {('MultigrainError', None)} and len(kinds) == 14


def test_sources_of_other_kinds_are_named_once():
    source, kind = 'a.json', errors.AnnotationError
    for text in ('no images', 'a.json: no images'):
        with pytest.raises(kind, match=r'^a\.json: no images$'), errors.error_source(source, kind):
            raise kind(text)
    with pytest.raises(errors.TaxonomyError, match='^x$'), errors.error_source(source, kind):
        raise errors.TaxonomyError('x')

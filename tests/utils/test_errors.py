"""What kinds of errors there are, and which option helps with one."""

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

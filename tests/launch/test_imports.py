"""Imports stay silent."""

import warnings

from mmdet_multigrain import launch


def test_quiet_imports(capsys, recwarn):
    with launch.quiet_imports():
        print('an advertisement')
        warnings.warn('another one', stacklevel=1)
    print('shown')
    assert capsys.readouterr().out == 'shown\n'
    assert not recwarn

"""The package as a whole."""

import pkgutil
import subprocess
import sys

from mmdet_multigrain import report


def test_works_without_torch_and_mmdet():
    names = [
        f'mmdet_multigrain.report.{module.name}' for module in pkgutil.iter_modules(report.__path__)
    ]
    assert 'mmdet_multigrain.report.style' in names
    code = (
        f'import sys, {", ".join(names)}\n'
        'sys.exit(bool({"torch", "mmcv", "mmengine", "mmdet"} & set(sys.modules)))'
    )
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0

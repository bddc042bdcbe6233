"""Where the configs are, in a checkout or in an installed package.

`python -m mmdet_multigrain.configs` prints their folder: MMEngine's `package::` syntax reaches
OpenMMLab's own packages only, so a config elsewhere names its base by path.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def config_folder() -> Path:
    """The folder `configs/` of the checkout; of an installed package, its own copy."""
    checkout = _PACKAGE.parent / 'configs'
    return checkout if (checkout / 'multigrain').is_dir() else _PACKAGE / '.mim' / 'configs'


if __name__ == '__main__':
    print(config_folder())

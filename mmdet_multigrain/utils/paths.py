"""Which file names in data stay below the folder that they are relative to.

Needs neither torch nor mmdet.
"""

from __future__ import annotations

import os


def is_absolute(name: str) -> bool:
    """Whether a file name begins at a root, on any system."""
    return name.startswith(('/', '\\')) or name[1:3] in (':\\', ':/')


def leaves_folder(name: str) -> bool:
    """Whether a file name, put behind a folder, leads out of it, on any system.

    Links on the disk are not looked at: whoever made them decides what they lead to.
    """
    if is_absolute(name):
        return True
    return '..' in name and os.path.normpath(name.replace('\\', '/')).split('/')[0] == '..'

"""MMEngine's local files, written atomically."""

from __future__ import annotations

import os

from mmengine.fileio import LocalBackend, register_backend

from mmdet_multigrain.utils.files import write_whole

BACKEND = 'atomic_local'


# `force`: a module that is reloaded, as in tests, registers the same again.
@register_backend(BACKEND, force=True)
class AtomicLocalBackend(LocalBackend):
    """Local files that a killed process or a full disk cannot leave half-written.

    Chosen with `backend_args=dict(backend='atomic_local')`; all but writing is MMEngine's.
    """

    def put(self, obj: bytes, filepath: str | os.PathLike[str]) -> None:
        """Write a file.

        Raises:
            FileError: It cannot be written; an older file of the name stays.
        """
        write_whole(filepath, obj, sync=True)

    def put_text(self, obj: str, filepath: str | os.PathLike[str], encoding: str = 'utf-8') -> None:
        """Write a text file; as `put`."""
        self.put(obj.encode(encoding), filepath)

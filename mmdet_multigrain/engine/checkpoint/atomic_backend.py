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

    `put` and `put_text` write by `mmdet_multigrain.utils.files.open_whole`; all else is MMEngine's.
    Chosen with `backend_args=dict(backend='atomic_local')`.
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

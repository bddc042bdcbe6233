"""MMEngine's Runner where it needs help: it does not name the checkpoint that it cannot read."""

from __future__ import annotations

import mmengine.runner

from .checkpoints import loading


class Runner(mmengine.runner.Runner):
    """MMEngine's Runner; a checkpoint that cannot be loaded is named in one line.

    Checkpoints are loaded as weights only: no code that they hold is run.
    """

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        """Load a checkpoint as MMEngine does.

        Raises:
            CheckpointError: It cannot be read or downloaded, or would run code.
        """
        with loading(filename):
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        # Resuming would run this text, to look for numbers of GPUs that only old files have.
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        return checkpoint

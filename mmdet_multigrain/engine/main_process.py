"""Work of the first process of a run, whose result the others wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

Result = TypeVar('Result')

# torchrun ends all processes as soon as one has ended: the first must have said why by then.
_SECONDS_TO_SPEAK = 2.0


def on_main_process(work: Callable[[], Result]) -> Result:
    """Let the first process do something; every process gets its result.

    To be called by all processes of a run. If the work raises, so does this in the first process;
    the others exit silently with status 2 instead of waiting forever at their next step.
    """
    result, error = None, None
    if is_main_process():
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 (raised below, when the others know)
            error = raised
    answer = [(result, error is None)]
    broadcast_object_list(answer)
    if error is not None:
        raise error
    result, done = answer[0]
    if not done:
        time.sleep(_SECONDS_TO_SPEAK)
        raise SystemExit(2)
    return result

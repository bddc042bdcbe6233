"""Case 22: a run on other data in the work folder of another run."""

from __future__ import annotations


def test_no_checkpoint_of_the_first_run_is_replaced(run_case):
    first, second = run_case('22').strip().split('\n\n')
    assert 'error: ' not in first and 'iter_4.pth' in first
    assert 'already holds the checkpoints of a run' in second

    def checkpoints(part):  # modification time and name
        return [line for line in part.splitlines() if line.endswith('.pth')]

    assert checkpoints(first) == checkpoints(second)

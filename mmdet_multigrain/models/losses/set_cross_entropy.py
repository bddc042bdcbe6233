"""Cross entropy with targets that are sets of outputs."""

from __future__ import annotations

from torch import Tensor


def set_cross_entropy(scores: Tensor, allowed: Tensor) -> Tensor:
    """Negative logarithm of the probability that softmax gives to a set of outputs.

    It raises no output of a set over another: their gradients have the ratio of their
    probabilities.

    Args:
        scores: Scores, (N, C), in single precision or more.
        allowed: Which outputs each set holds, at least one; bool, (N, C).

    Returns:
        (N, ): log(sum of exp over all outputs) - log(sum of exp over those of the set).
    """
    inside = scores.masked_fill(~allowed, float('-inf'))
    return scores.logsumexp(1) - inside.logsumexp(1)

"""The files that a run of a tiny model leaves."""

BEST = 'best_tiny_score_iter_{}.pth'


def names(folder):
    """Files of a run but its logs."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != '.py' and path.is_file())

"""Python runs this file as it starts, in processes that tests of a mutant start."""

import json
import os
import sys
from pathlib import Path

if 'MUTANT' in os.environ:
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from benchmarks.mutation.hook import install

    install(**json.loads(Path(os.environ['MUTANT']).read_text()))

"""The report that compares runs: tables, figures, a page."""

"""Findings as people look at them: a page for a browser, a summary for a terminal.

    text       hostile texts made harmless, numbers made short              pure
    shares     two distributions of one column, put on common bins          pure
    portrait   a column with all that is to be said of it; their ranking    pure
    verdict    how it ended, in a sentence                                  pure
    drawing    shares and distances → positions on a small drawing          pure
    page       `html`: one file that needs nothing else, below 500 kB
    terminal   `terminal`, `summary_table`: for those who have no browser

Every text in here may come from a captured record, that is from a stranger.
"""

from modeltap.monitor.report.page import html
from modeltap.monitor.report.terminal import print_on, summary_table, terminal

__all__ = ["html", "print_on", "summary_table", "terminal"]

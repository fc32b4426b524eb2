"""Log groups and streams on disk: what CloudWatch Logs is to SageMaker's containers.

A group is a folder, a stream is a file of raw lines: the file that a guest's standard output and
error are appended to by its own process. Names come from users, so they are percent-encoded into
file names, dots included (threat S15). Folders are 0700, files 0600.

    {root}/%2Faws%2Fsagemaker%2FEndpoints%2Fchurn/AllTraffic%2Fi-0123.log        the newest part
                                                  AllTraffic%2Fi-0123.log.1      the part before
                                                  AllTraffic%2Fi-0123.log.times  its marks

Times. A guest writes no time, so the logbook notes it: `keep`, called each second, puts a mark
behind what is new, with the time at which the file was last written (`marks`). A line's time is
that of the first mark behind it: late by a second at most while control runs, and never changed
again. Within a stream, times never fall. No line crosses a mark, so lines do not change either.

Offsets count a stream's bytes from its very beginning, over all that was cut away, so that a place
in a stream stays that place (`stream`).

Bounds. `keep` moves a stream that has outgrown `stream_bytes_max` aside, over the part before, and
forgets the streams of a group that were silent longest beyond `streams_max`. The writer holds the
file open and appends, so the file is copied and cut, not renamed: a line written in between may be
lost, and so may lines that a follower did not read before the cut. A line is read in pieces of
`LINE_BYTES_MAX`. Control characters are shown, not obeyed: what a guest prints must not drive the
reader's terminal.
"""

from modeltap.logbook.book import Logbook, Tail
from modeltap.logbook.parts import LINE_BYTES_MAX, Line
from modeltap.logbook.stream import Entry, Stream

__all__ = ["LINE_BYTES_MAX", "Entry", "Line", "Logbook", "Stream", "Tail"]

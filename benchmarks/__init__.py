"""How fast modeltap is, beside what others offer for the same job, on the same machine.

`scripts/bench` runs it; `docs/performance.md` shows what it found. What the numbers rest on:

* only ratios of one run are compared: a machine's mood changes from hour to hour. Contenders take
  turns, round by round; a ratio is taken within a round, and its median and range are shown;
* a contender answers right before it is timed: its scores equal the model's own within 1e-6, and
  modeltap's exactly;
* the contender's whole process tree has one core and the load the other, so that requests/s is what
  one core carries, and CPU per request is that of everything that served it;
* every contender has its own package in its own environment, from a lock with hashes, and runs as
  its own documentation tunes it, with one thread a prediction;
* what cannot be installed or started is in the table, with the reason.
"""

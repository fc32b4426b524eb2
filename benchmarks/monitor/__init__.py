"""What an analysis of captured records costs, beside what others take for it.

A contender is one command line on one input (`contenders.py`); it runs to its end as a process tree
of its own, and `cost.py` says what the tree took: CPU (user and system) of every process in it, the
most memory at one time, the time. `scenarios/monitor.py` makes a section of it.

* the input is made by a seeded generator (`data.py`), as captured records and as CSV;
* a contender that gives a statistic gives it right (`truth.py`), or it is not in the table with a
  figure but with the reason;
* what starting costs (interpreter, imports, JVM, plans) is told apart: each contender runs on a
  hundred records, too. Who is too slow for all records runs on fewer, and the rest is extrapolated
  from what a record costs beyond that start;
* programs of a contender are in `apps/`; they import their own library and the standard library.
"""

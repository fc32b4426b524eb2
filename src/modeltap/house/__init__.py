"""The composition root: the only room that starts our tasks, threads and processes.

`supervisor` opens what must outlive a process (sockets, rings, the life pipe) and keeps one child
per role alive; each role module builds its rooms bottom-up and runs them until told to stop.
"""

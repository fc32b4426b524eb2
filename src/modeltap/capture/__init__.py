"""Data capture: exactly-once objects, every sampled record accounted for, inference never harmed.

plan       what a `DataCaptureConfig` asks for                            pure
offer      gateway: one finished inference into the ring                  microseconds
batch      what goes through the ring at once
ring       bytes of shared memory between gateway and spooler
frame      the record as it is packed once, and stands on disk
stream     where records go and how they are encoded
segment    the records of a stream and hour on disk; adopted, salvaged
spooler    rings → segments; recovery                                     own process
shipper    sealed segments → JSON Lines objects → ledger                  own process
guard      stops capture before the disk is full; limits: an endpoint's share
waiters    answers that wait until their records are durable
counters   sampled and dropped, in the ring's memory; mirror: on disk
numbers    sets of sequence numbers, to tell a hole by                    pure
account    sampled = delivered + pending + Σ dropped{reason}              reading side
disk       the port to the file system; simdisk, faults: its fakes
"""

"""Data capture: exactly-once objects, every sampled record accounted for, inference never harmed.

plan       what a `DataCaptureConfig` asks for                            pure
offer      gateway: one finished inference into the ring                  microseconds
batch      what goes through the ring at once
ring       bytes of shared memory between gateway and spooler
frame      the record as it is packed once, and stands on disk
stream     where records go and how they are encoded
segment    the records of a stream and hour on disk; adopted, salvaged
spooler    rings → segments; recovery                                     own process
shipper    sealed segments → objects → ledger                             own process
           backlog: what waits; destination: whether it may be tried; shipment, lines: a segment's
           object; outcome: what an answer means; puts: how stores have answered
guard      stops capture before the disk is full; limits: an endpoint's share
waiters    answers that wait until their records are durable
counters   sampled and dropped, in the ring's memory; mirror: on disk
numbers    sets of sequence numbers, to tell a hole by                    pure
folder     what lies where in the spool
account    sampled = delivered + pending + Σ dropped{reason}              reading side
           inventory: what was read once is not read again; standing: all of it at one look
audit      numbers tile, objects are what the ledger says (pure); auditing: reads what it judges
fsck       every file of a spool; rebuild: a lost ledger, from the bucket
disk       the port to the file system; simdisk, faults: its fakes
"""

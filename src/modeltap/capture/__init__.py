"""Data capture: exactly-once objects, every sampled record accounted for, inference never harmed.

plan       what a `DataCaptureConfig` asks for                            pure
offer      gateway: one finished inference into the ring                  microseconds
ring       bytes of shared memory between gateway and spooler
frame      the record on its way, packed raw
segment    the record on disk; scan and salvage
spooler    rings → segments; recovery                                     own process
shipper    sealed segments → JSON Lines objects → ledger                  own process
counters   sampled and dropped, in mapped pages that survive `kill -9`
account    sampled = delivered + pending + Σ dropped{reason}              reading side
"""

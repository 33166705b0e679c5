"""Supervised child processes: what may crash, hang or eat memory does so there, and costs its own work only.

    Supervised   one child: start, send, recv, stop; for engines and replicas
    Worker       a child that answers requests, one at a time, and is replaced when it is lost; for readers
    map_ordered  many requests through a few workers, answers in the order of the requests
    CrashLedger  which work was in flight in crashes: again, alone, or poison

A child is a fresh interpreter. It puts the network guard on before anything else, is limited in memory, ends with
its parent, is the first to go when the machine's memory ends, and leaves no core file. What it prints goes nowhere.
The parent decides when it ends: a child ignores Ctrl-C and SIGTERM.

This room knows nothing of documents, models or databases. POSIX only: Windows has neither the limits nor the
sockets that it stands on. On systems other than Linux a memory limit may not hold.
"""

from pipeline.supervise.ledger import CrashLedger, Fates
from pipeline.supervise.process import Supervised, wait
from pipeline.supervise.wire import Boundary, Channel, Closed
from pipeline.supervise.workers import Worker, map_ordered

__all__ = [
    "Boundary",
    "Channel",
    "Closed",
    "CrashLedger",
    "Fates",
    "Supervised",
    "Worker",
    "map_ordered",
    "wait",
]

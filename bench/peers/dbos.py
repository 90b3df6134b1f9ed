"""DBOS for Python in process: runs the loads that the bench asks for, `STEPS CLIENTS SECONDS` a line of stdin.

Its workflows are synchronous, as in its own documentation, so each client is a thread, and there are at most THREADS.
"""

import json
import os
import sys
import threading
import time

from dbos import DBOS, DBOSConfig

THREADS = 16


@DBOS.step()
def add_one(n: int) -> int:
    return n + 1


@DBOS.workflow()
def sequence(steps: int) -> int:
    n = 0
    while n < steps:
        n = add_one(n)
    return n


def closed_loop(steps: int, clients: int, seconds: float) -> dict:
    latencies: list[list[float]] = [[] for _ in range(min(clients, THREADS))]
    failures: list[BaseException] = []
    begun = time.monotonic()

    def client(mine: list[float]) -> None:
        try:
            while time.monotonic() < begun + seconds:
                sent = time.monotonic()
                assert sequence(steps) == steps
                mine.append(time.monotonic() - sent)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=client, args=[mine]) for mine in latencies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    took = time.monotonic() - begun
    ordered = sorted(latency * 1000 for mine in latencies for latency in mine)
    return {
        "workflows": len(ordered),
        "seconds": took,
        "p50_ms": ordered[len(ordered) // 2],
        "p99_ms": ordered[len(ordered) * 99 // 100],
    }


def main() -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": os.environ["DBOS_DATABASE_URL"],
        "application_version": "1",
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    print("ready", flush=True)
    for line in sys.stdin:
        steps, clients, seconds = line.split()
        print(json.dumps(closed_loop(int(steps), int(clients), float(seconds))), flush=True)
    DBOS.destroy()


main()

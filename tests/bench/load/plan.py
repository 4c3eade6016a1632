"""What load a server gets, and what came of it; `tests.bench.load.generator` makes it, in a process of its own."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent where. `rate` None is the closed loop; `pids` are the processes whose time is measured.

    After `count` requests, or `measure_s`, it ends. `answers` names a file for `delivery id, nanoseconds` of each 200.
    """

    port: int
    requests: str
    pids: tuple[int, ...] = ()
    connections: int = 64
    warm_up_s: float = 1.0
    measure_s: float = 3.0
    rate: float | None = None
    count: int = 1 << 62
    answers: str = ""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it in the measured time; times of the answers are in milliseconds.

    `acknowledged` are all answers 200, those of the warm-up and the last ones included.
    """

    acknowledged: int
    answered: int
    failed: int
    seconds: float
    server_cpu_us: int
    generator_cpu_us: int
    others_cpu_us: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    late_p99_ms: float

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds

    @property
    def cpu_us_each(self) -> float:
        """What the server worked for one answered delivery, in microseconds."""
        return self.server_cpu_us / self.answered


def generate(plan: Plan) -> Result:
    """Loads the server as planned, in a process of its own beside the broker.

    Raises:
        subprocess.CalledProcessError: nothing was answered, or the server closed a connection.
    """
    command = [sys.executable, "-m", "tests.bench.load.generator", json.dumps(asdict(plan))]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return Result(**json.loads(told))

"""Formats, launches, stops, kills, freezes and thaws one node of a local broker.

`cluster` decides when a whole cluster is ready; `data` decides what a node's folder may hold.
"""

import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from ops.local.broker.data import (
    ClusterPlan,
    NodePlan,
    check_node,
    formatting_folder,
    log_properties,
    logs_folder,
    server_properties,
)
from ops.local.broker.install import SOURCE_FOLDER
from ops.local.broker.pid import find_running, forget_running, note_running, settings_file
from ops.local.broker.probe import nodes_seen, port_is_free
from ops.local.broker.runtime import BROKER_MAIN, FORMAT_MAIN, Launch, Runtime
from ops.local.broker.tool import run_tool
from ops.local.processes import DetachedProcess, GuardedProcess, HeldProcess, end, ended
from schemas.errors import DropstreamError

_STOP_GRACE_S = 15.0
_KILL_GRACE_S = 10.0
_HALT_S = 30.0
_LOG_TAIL_BYTES = 65_536


class BrokerNode:
    """A node of `cluster`; with `detached` it outlives this process."""

    def __init__(self, plan: NodePlan, cluster: ClusterPlan, *, runtime: Runtime, detached: bool) -> None:
        self.plan = plan
        self._cluster = cluster
        self._runtime = runtime
        self._detached = detached
        self._process: HeldProcess | None = None
        self._log_start = 0

    async def format(self) -> None:
        """Makes the node's folder ready for Kafka; does nothing where it is. An interrupted format leaves nothing."""
        if check_node(self.plan, self._cluster.cluster_id):
            return
        partial = formatting_folder(self.plan)
        partial.mkdir(parents=True)
        self._write_settings(partial)
        # As one word each: an id may begin with a hyphen.
        arguments = ("format", f"--cluster-id={self._cluster.cluster_id}", f"--config={self._settings_file}")
        launch = Launch(self.plan.folder, FORMAT_MAIN, arguments)
        log = self.plan.folder / "format.log"
        if await run_tool(self._runtime.command(launch), log=log) != 0:
            shutil.rmtree(partial, ignore_errors=True)
            said = log.read_text(errors="replace")
            raise DropstreamError(f"Kafka could not format {self.plan.folder}: {fault_in(said)}\nSee {log}.")
        if logs_folder(self.plan).is_dir():
            logs_folder(self.plan).rmdir()  # it was empty: check_node looked
        partial.rename(logs_folder(self.plan))

    def launch(self) -> None:
        """Starts the node's process; `BrokerCluster.ready` waits until it serves.

        Raises:
            DropstreamError: it runs already, a port is taken, or the program cannot be started.
        """
        running = find_running(self.plan.folder)
        if running:
            data = self.plan.folder.parent
            raise DropstreamError(
                f"{data} is in use: a broker runs on it (pid {running.process.pid}, port {running.port}); "
                f"stop it with `dropstream kafka stop --data {data}`, or name another folder with --data"
            )
        for port in (self.plan.port, self.plan.controller_port):
            _check_port(port)
        self._write_settings(logs_folder(self.plan))
        self._log_start = _size(self.log)
        launch = Launch(self.plan.folder, BROKER_MAIN, (str(self._settings_file),), self.plan.port)
        command = self._runtime.command(launch)
        instead = self._runtime.instead_of_signals(self.plan.folder)
        console = self.plan.folder / "console.log"
        self._process = (
            DetachedProcess.start(command, console=console, marker=str(self._settings_file), instead=instead)
            if self._detached
            else GuardedProcess(command, console=console, instead=instead)
        )
        note_running(self.plan.folder, self._process, port=self.plan.port, instead=instead)

    @property
    def launched(self) -> bool:
        """Whether it was launched and neither stopped nor killed since; it may have ended by itself."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Its process; None where it is not launched. Where Docker runs it, that is the client of Docker."""
        return self._process.pid if self._process else None

    async def nodes_seen(self) -> frozenset[int]:
        """The ids of the nodes that this one knows to serve.

        Raises:
            DropstreamError: the process has ended; with the gist of its log.
        """
        if self._process is None or not self._process.running():
            raise DropstreamError(f"the broker ended while starting: {self._last_fault()}\nSee {self.log}.")
        return await nodes_seen(self.plan.port)

    async def stop(self) -> None:
        """Ends the node in order, or by force where it does not end in time; it has ended on return."""
        if self._process:
            await end(self._process, grace_s=_STOP_GRACE_S, kill_within_s=_KILL_GRACE_S)
        self._forget()

    async def kill(self) -> None:
        """Ends the node as kill -9 does; it has ended on return."""
        if self._process and self._process.running():
            self._process.send("CONT")  # Docker does not kill a paused container.
            self._process.send("KILL")
            await ended(self._process, within_s=_KILL_GRACE_S)
        self._forget()

    def _forget(self) -> None:
        if self._process:
            self._process.release()
            forget_running(self.plan.folder)
        self._process = None

    def freeze(self) -> None:
        """Halts the node as it is: connections stay open, nothing answers, on Linux from the return on."""
        if self._process:
            self._process.send("STOP")
            _wait_halted(self._process.pid)

    def thaw(self) -> None:
        """Lets a frozen node go on."""
        if self._process:
            self._process.send("CONT")

    def _write_settings(self, logs: Path) -> None:
        self._settings_file.write_text(server_properties(self.plan, self._cluster, logs))
        shipped = (SOURCE_FOLDER / "log4j2.properties").read_text()
        (self.plan.folder / "log4j2.properties").write_text(log_properties(self._cluster, shipped))

    @property
    def _settings_file(self) -> Path:
        return settings_file(self.plan.folder)

    @property
    def log(self) -> Path:
        return self.plan.folder / "broker.log"

    def _last_fault(self) -> str:
        written = ""
        if self.log.is_file():
            with self.log.open("rb") as file:
                file.seek(max(self._log_start, _size(self.log) - _LOG_TAIL_BYTES))
                written = file.read().decode(errors="replace")
        console = self.plan.folder / "console.log"
        return fault_in(written) or fault_in(console.read_text(errors="replace")) or "it said nothing"


def fault_in(output: str) -> str:
    """The line of a Kafka program's output that says best why it ended, at most 300 characters; else empty."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (r"Caused by: .+", r"[\w.$]+(?:Exception|Error): .+", r".* (?:ERROR|FATAL) .+", r".+"):
        matching = [line for line in lines if re.match(pattern, line)]
        if matching:
            return matching[-1][:300]
    return ""


def _check_port(port: int) -> None:
    if not port_is_free(port):
        raise DropstreamError(
            f"port {port} of 127.0.0.1 is taken by another program: end that, or choose another with --port; "
            f"if it is a Kafka that you want to use, set KAFKA=127.0.0.1:{port}"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _wait_halted(pid: int) -> None:
    """Waits until the process is halted: its guard sends the signal, and may be slow to get its turn."""
    until = time.monotonic() + _HALT_S
    with suppress(OSError):  # There is no /proc, or the process has ended.
        while _state(pid) != "T" and time.monotonic() < until:
            time.sleep(0.002)  # The loop may wait as long as its own broker does.


def _state(pid: int) -> str:
    """The letter behind the name in parentheses: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]

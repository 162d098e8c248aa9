"""Slurm on this machine alone, without systemd: its three programs in a folder, with a configuration of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROGRAMS = "munged munge slurmctld slurmd sbatch squeue sinfo scontrol".split()
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
KillWait=3
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def wait_for(happened: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until something has happened. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in servers]
    for server in servers:
        server.close()
    return ports


class Slurm:
    """A cluster of one node with eight processors. `with Slurm(folder) as slurm:` starts and stops it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def __enter__(self) -> Slurm:
        for name in ("state", "spool"):
            (self._folder / name).mkdir(parents=True)
        key = self._folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        host = socket.gethostname().partition(".")[0]
        text = CONFIGURATION.format(host=host, ports=_free_ports(2), folder=self._folder)
        (self._folder / "slurm.conf").write_text(text, "utf-8")
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self.call("munged", "--force", *(f"--{word}={self._folder}/munge.{end}" for word, end in files.items()))
        try:
            self.call("slurmctld", "-c")
            self.call("slurmd")
            wait_for(lambda: "idle" in self.call("sinfo", "-h", "-o", "%T"), "that the node is idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(subprocess.SubprocessError):
            self.call("scontrol", "shutdown")
        pids = [self._folder / f"{name}.pid" for name in ("slurmctld", "slurmd")]
        try:
            wait_for(lambda: not any(pid.exists() for pid in pids), "that Slurm ends", 10)
        except TimeoutError:
            for pid in pids:
                with suppress(OSError, ValueError):
                    os.kill(int(pid.read_text()), signal.SIGKILL)
        self.call("munged", "--stop", f"--socket={self._folder}/munge.socket")

    def call(self, *words: str) -> str:
        """Run one of Slurm's programs; return what it printed."""
        done = subprocess.run(
            words, env=self.environment, check=True, timeout=60, stdout=subprocess.PIPE, text=True
        )  # its daemons keep standard error
        return done.stdout

    def queue(self) -> str:
        """Return what waits or runs, a job or task a line."""
        return self.call("squeue", "-h", "-r", "-o", "%A %i %T %r")

    def wait(self, seconds: float = 1200) -> None:
        """Wait until nothing waits or runs any more."""
        wait_for(lambda: not self.queue().strip(), "that the queue is empty", seconds)

    def tasks(self, job: str) -> dict[int, tuple[str, str]]:
        """Return the state and the exit code of each task of an array, by its number."""
        shown = self.call("scontrol", "show", "job", job)
        found = re.findall(r"ArrayTaskId=(\d+) .*?JobState=(\w+) .*?ExitCode=(\S+)", shown, re.S)
        return {int(number): (state, code) for number, state, code in found}

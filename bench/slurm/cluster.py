"""A Slurm on loopback, in a folder of its own: munge, a controller and two nodes."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

NODES = ("n1", "n2")

CONF = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1,default_queue_depth=2000
MaxArraySize=2001
PrologFlags=Alloc
KillWait=5
InactiveLimit=0
SlurmdTimeout=5
MessageTimeout=5
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=4000
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-bench-"))
        self.folder.chmod(0o755)
        # Settings of a Slurm around must not reach this one.
        self.env = {name: value for name, value in os.environ.items()
                    if not re.match(r"(SLURM|SRUN|SALLOC|SBATCH|SQUEUE|SCANCEL)_", name)}
        self.env["SLURM_CONF"] = str(self.folder / "slurm.conf")
        self.daemons = {}
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        for name in ("state", "spool-n1", "spool-n2", "work"):
            (self.folder / name).mkdir()
        text = CONF.format(folder=self.folder, host=socket.gethostname(), ports=free_ports(3),
                           user=subprocess.check_output(["id", "-un"], text=True).strip())
        (self.folder / "slurm.conf").write_text(text)
        self.start("munged", "munged", "--foreground", "--force", f"--key-file={key}",
                   f"--socket={self.folder}/munge.sock", f"--pid-file={self.folder}/munge.pid",
                   f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed")
        self.until("munge answers", lambda: (self.folder / "munge.sock").exists())
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.until("both nodes are idle", lambda: self.states() == ["idle", "idle"])

    def start(self, name, *argv):
        self.daemons[name] = subprocess.Popen(
            argv, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)

    def start_controller(self):
        self.start("controller", "slurmctld", "-D", "-f", self.env["SLURM_CONF"])
        self.until("the controller answers", lambda: self.run("scontrol", "ping").returncode == 0)

    def start_node(self, node):
        self.start(node, "slurmd", "-D", "-N", node, "-f", self.env["SLURM_CONF"])

    def kill(self, name, number=signal.SIGKILL):
        daemon = self.daemons.pop(name)
        daemon.send_signal(number)
        daemon.wait()

    def run(self, *argv, **more):
        return subprocess.run(argv, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, **more)

    def states(self):
        return [self.run("sinfo", "-h", "-n", node, "-o", "%t").stdout.strip() for node in NODES]

    def queue(self):
        """What is left of jobs and steps."""
        jobs = self.run("squeue", "-h", "-o", "job %i %T").stdout.split("\n")
        steps = self.run("squeue", "-h", "-s", "-o", "step %i %j").stdout.split("\n")
        return [line for line in jobs + steps if line]

    def until(self, what, holds, limit=120):
        end = time.monotonic() + limit
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {limit} s")
            time.sleep(0.02)

    def stop(self):
        self.run("scancel", "-u", str(os.getuid()))
        end = time.monotonic() + 15
        while self.queue() and time.monotonic() < end:
            time.sleep(0.1)
        for name in ("n1", "n2", "controller", "munged"):
            if name in self.daemons:
                self.kill(name, signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def processes(wanted):
    """The processes whose command line and environment are wanted, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if argv and wanted(argv, environment):
            found[int(entry.name)] = argv
    return found


def kill_all(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

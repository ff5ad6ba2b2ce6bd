"""A real PostgreSQL for tests, from Debian's package: made in a temporary folder, bound to this machine, stopped afterwards."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "geheim:@/word"
"""Holds what a URL has to escape."""


def programs():
    """The folder of the newest installed server, None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


class Server:
    """A cluster; ``url`` has the password escaped."""

    def __init__(self, folder, port, bin_dir):
        self.folder, self.port, self._bin = folder, port, bin_dir
        self.url = f"postgresql://postgres:geheim%3A%40%2Fword@127.0.0.1:{port}/postgres"

    def start(self):
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=30"
        run([self._bin / "pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "-t", "120", "-o", options, "start"])

    def stop(self):
        run([self._bin / "pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop"])


@contextmanager
def running():
    """A started server, gone afterwards."""
    bin_dir = programs()
    folder = Path(tempfile.mkdtemp(prefix="genbias-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        run([bin_dir / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=scram-sha-256", "--no-sync", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"])
        server = Server(folder, _free_port(), bin_dir)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(command):
    """Run one of the server's programs; as user postgres where we are root, which the server refuses to be run by."""
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    home = {"HOME": "/tmp"} if who and not Path(pwd.getpwnam("postgres").pw_dir).is_dir() else {}
    done = subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/", timeout=180, check=False,
                          env={**os.environ, **home}, **who)  # fmt: skip
    assert done.returncode == 0, done.stderr


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

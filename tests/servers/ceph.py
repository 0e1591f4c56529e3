"""Ceph's radosgw, an S3 server that authenticates: a monitor and a memory store behind it.

From Debian's packages ``radosgw``, ``ceph-mon`` and ``ceph-osd``. Everything is in a temporary
directory and on loopback ports; no daemon of an installed cluster is touched, and none is needed.
"""

from __future__ import annotations

import base64
import secrets
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .process import HOST, ServerError, free_port, running, started
from .s3 import S3Server, S3User

_COMMAND_SECONDS = 60
_MEMORY = 8 * 1024**3
# What tests ask objects to be encrypted with, and how to be stored.
_KEY_NAMES = ("alias/me", "alias/static")
_KEY = base64.b64encode(bytes(32)).decode()
_STORAGE_CLASSES = ("REDUCED_REDUNDANCY", "STANDARD_IA")

# Without authentication between the daemons; users of S3 have theirs in any case. The gateway alone
# asks for an encrypted connection to the monitor by default, which needs that: hence "crc".
_CONFIGURATION = """
[global]
fsid = {cluster}
mon host = {monitor}
public addr = {host}
cluster addr = {host}
ms bind msgr1 = false
ms mon client mode = crc
auth cluster required = none
auth service required = none
auth client required = none
run dir = {directory}
admin socket =
log file =
mon cluster log file =
log to stderr = true
err to stderr = true
mon data = {directory}/mon
osd data = {directory}/osd
rgw data = {directory}/rgw
osd objectstore = memstore
memstore device bytes = {memory}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {keys}
"""


@contextmanager
def serve() -> Iterator[S3Server]:
    """Start a cluster of one monitor, one store and one gateway.

    Raises:
        ServerError: Ceph is not installed or does not start.
    """
    with tempfile.TemporaryDirectory(prefix="ceph-") as directory, ExitStack() as stack:
        cluster = _Cluster(Path(directory), str(uuid.uuid4()), f"[v2:{HOST}:{free_port()}]")
        cluster.configure()
        stack.enter_context(cluster.monitor())
        stack.enter_context(cluster.store())
        user, stranger = cluster.user("tests"), cluster.user("stranger")
        for name in _STORAGE_CLASSES:
            cluster.add_storage_class(name)
        url = stack.enter_context(cluster.gateway())
        yield S3Server(url, "us-east-1", user.access_key, user.secret_key, stranger=stranger)


@dataclass(frozen=True)
class _Cluster:
    directory: Path
    id: str
    address: str

    def configure(self) -> None:
        for name in ("mon", "osd", "rgw"):
            (self.directory / name).mkdir()
        self._configuration.write_text(
            _CONFIGURATION.format(
                cluster=self.id,
                monitor=self.address,
                host=HOST,
                directory=self.directory,
                memory=_MEMORY,
                keys=" ".join(f"{name}={_KEY}" for name in _KEY_NAMES),
            )
        )

    @contextmanager
    def monitor(self) -> Iterator[None]:
        addresses = str(self.directory / "monmap")
        self._run(
            *("monmaptool", "--create", "--fsid", self.id, "--addv", "a", self.address, addresses)
        )
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", addresses)
        with self._daemon("ceph-mon", "-i", "a"):
            yield

    @contextmanager
    def store(self) -> Iterator[None]:
        # The monitor ignores a store with another identity than the one that it was told.
        identity = str(uuid.uuid4())
        self._run("ceph", "osd", "new", identity, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        with self._daemon("ceph-osd", "-i", "0"):
            yield

    def user(self, name: str) -> S3User:
        """Make a user; the first one makes the gateway's pools, too."""
        user = S3User(name, secrets.token_hex(10).upper(), secrets.token_urlsafe(30))
        self._run(
            *("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}"),
            *(f"--access-key={user.access_key}", f"--secret-key={user.secret_key}"),
        )
        return user

    def add_storage_class(self, name: str) -> None:
        placement = ("--placement-id=default-placement", f"--storage-class={name}")
        self._run(
            *("radosgw-admin", "zonegroup", "placement", "add"),
            *("--rgw-zonegroup=default", *placement),
        )
        self._run(
            *("radosgw-admin", "zone", "placement", "add", "--rgw-zone=default", *placement),
            f"--data-pool=default.rgw.{name.lower()}.data",
        )

    @contextmanager
    def gateway(self) -> Iterator[str]:
        def command(port: int) -> list[str]:
            frontend = f"--rgw-frontends=beast endpoint={HOST}:{port}"
            return self._command("radosgw", "-f", "-n", "client.rgw", frontend)

        with running("radosgw", command) as url:
            yield url

    @contextmanager
    def _daemon(self, program: str, *arguments: str) -> Iterator[None]:
        def command(_: int) -> list[str]:
            return self._command(program, "-f", *arguments)

        # It speaks no protocol of ours: the commands that need it wait until it serves.
        with started(program, command, probe=lambda _: True):
            yield

    def _run(self, *command: str) -> None:
        """Run a command to its end; it waits for the daemons that it needs."""
        try:
            subprocess.run(
                self._command(*command),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=True,
                timeout=_COMMAND_SECONDS,
            )
        except OSError as error:
            raise ServerError(f"{command[0]} can't be run: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise ServerError(f"{command[0]} did not end in {_COMMAND_SECONDS} s.") from error
        except subprocess.CalledProcessError as error:
            output = error.stdout.decode(errors="replace")
            raise ServerError(f"{command[0]} failed:\n{output}") from error

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [program, f"--conf={self._configuration}", *arguments]

    @property
    def _configuration(self) -> Path:
        return self.directory / "ceph.conf"

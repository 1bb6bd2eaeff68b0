"""Debian's RabbitMQ: STOMP, Web STOMP, and JWTs by its OAuth 2 plugin."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.adapters.contract.runtime import Runtime
from tests.brokers.running import PATIENCE, Broker, environment, free_ports

__all__ = ["RabbitMQ"]

_HOME = Path("/usr/lib/rabbitmq")
_SERVER = _HOME / "bin" / "rabbitmq-server"
_CONTROL = _HOME / "bin" / "rabbitmqctl"
_PLUGINS = ("rabbitmq_stomp", "rabbitmq_web_stomp", "rabbitmq_auth_backend_oauth2")
_EVERYTHING = "rabbitmq.read:*/*/* rabbitmq.write:*/*/* rabbitmq.configure:*/*/*"
_KEY_ID = "tests"

# `guest`, an ordinary user, comes with the first start; whoever it does not know is looked at by
# the plugin, which takes the passcode for a JWT. In WebSocket messages of text, the default, it
# would send bodies that are none.
_CONFIG = """\
listeners.tcp = none
stomp.listeners.tcp.1 = 127.0.0.1:{tcp}
web_stomp.tcp.listener = 127.0.0.1:{ws}
web_stomp.ws_frame = binary
auth_backends.1 = internal
auth_backends.2 = rabbit_auth_backend_oauth2
auth_oauth2.resource_server_id = rabbitmq
auth_oauth2.default_key = {key_id}
auth_oauth2.signing_keys.{key_id} = {key}
auth_oauth2.algorithms.1 = RS256
log.file = false
log.console = true
log.console.level = warning
"""


class RabbitMQ(Broker):
    """A node, and the port mapper that Erlang wants beside it; see `Broker`."""

    name = "RabbitMQ"

    def __init__(self, folder: Path) -> None:
        self._mapper_port, self._node_port, self.tcp_port, self.ws_port = free_ports(4)
        super().__init__(folder, (self.tcp_port, self.ws_port))
        self._mapper: subprocess.Popen[bytes] | None = None
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = folder / "public.pem"
        public.write_bytes(
            self._key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        (folder / "home").mkdir()
        (folder / "plugins").write_text(f"[{','.join(_PLUGINS)}].\n")
        (folder / "rabbitmq.conf").write_text(
            _CONFIG.format(tcp=self.tcp_port, ws=self.ws_port, key_id=_KEY_ID, key=public)
        )
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        self._environment = environment(
            HOME=str(folder / "home"),  # of the Erlang cookie
            ERL_EPMD_PORT=str(self._mapper_port),
            ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_NODENAME=f"rabbit-{secrets.token_hex(4)}@localhost",
            RABBITMQ_DIST_PORT=str(self._node_port),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=loopback,
            RABBITMQ_CTL_ERL_ARGS=loopback,
            RABBITMQ_MNESIA_BASE=str(folder / "data"),
            RABBITMQ_LOG_BASE=str(folder / "log"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "plugins"),
            RABBITMQ_CONFIG_FILE=str(folder / "rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=str(folder / "no-advanced.config"),
            RABBITMQ_CONF_ENV_FILE=str(folder / "no-env.conf"),
        )

    @classmethod
    def missing(cls) -> str:
        if not _SERVER.exists() or shutil.which("epmd") is None:
            return "RabbitMQ is not installed (Debian: rabbitmq-server)."
        for plugin in _PLUGINS:
            if not any(_HOME.glob(f"lib/rabbitmq_server-*/plugins/{plugin}-*")):
                return f"RabbitMQ is installed, but without its plugin {plugin}."
        return ""

    @property
    def command(self) -> list[str]:
        return [str(_SERVER)]

    @property
    def environment(self) -> dict[str, str]:
        return self._environment

    def launch(self) -> None:
        # Erlang would start a port mapper that outlives it. This one is ours to stop.
        if self._mapper is None:
            self._mapper = subprocess.Popen(
                ["epmd", "-port", str(self._mapper_port), "-address", "127.0.0.1"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self.environment,
            )
        super().launch()

    def stop(self) -> None:
        super().stop()
        mapper, self._mapper = self._mapper, None
        if mapper is not None:
            mapper.kill()
            mapper.wait(PATIENCE)

    async def control(self, runtime: Runtime, *arguments: str) -> None:
        """Run `rabbitmqctl` with these arguments, while the loop goes on."""
        said = self.folder / "control"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [str(_CONTROL), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
            )
        try:
            await runtime.until(lambda: process.poll() is not None, PATIENCE)
        finally:
            process.kill()
            process.wait(PATIENCE)
        assert process.returncode == 0, said.read_text("utf-8", "replace")

    def mint(self, ttl: float = 60.0, *, scope: str = _EVERYTHING, subject: str = "ada") -> str:
        """A token. The plugin counts in whole seconds, so it may live for one second less."""
        claims = {
            "sub": subject,
            "aud": "rabbitmq",
            "scope": scope,
            "exp": int(time.time() + ttl),
            # Or two of the same second were the same.
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, self._key, "RS256", headers={"kid": _KEY_ID})

"""An Apache Kafka that lets nobody in without a certificate or a password, and nobody do what no ACL allows."""

from __future__ import annotations

import argparse
import base64
import json
import re
import shlex
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography.hazmat.primitives import serialization

from stream_monitor import clients
from stream_monitor.broker import free_port
from stream_monitor.settings import Settings
from stream_monitor.testing.brokers import JarsKafka

ADMIN = "admin"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "connect-securely.md"
_MODULES = "org.apache.kafka.common.security"
_PLAIN, _SCRAM, _OAUTH = (
    f"{_MODULES}.{name} required"
    for name in ("plain.PlainLoginModule", "scram.ScramLoginModule", "oauthbearer.OAuthBearerLoginModule")
)


class SecureKafka:
    """One node with SASL_SSL, SSL and the standard authorizer; the password of each user is `name-secret`."""

    def __init__(self, folder: Path, users: tuple[str, ...], properties: Mapping[str, str] | None = None) -> None:
        self.folder, self.users = folder, (ADMIN, *users)
        ca = trustme.CA()
        self.ca = folder / "ca.pem"
        ca.cert_pem.write_to_path(self.ca)
        self.server = ca.issue_cert("127.0.0.1", "localhost")
        _write_key(folder / "server.pem", self.server)
        client = ca.issue_cert("worker@example.org", common_name="worker")
        self.certificate, self.key = folder / "client.pem", folder / "client.key"
        client.cert_chain_pems[0].write_to_path(self.certificate)
        _write_key(self.key, client, password=b"key-secret", chain=False)
        self.certified = f"127.0.0.1:{free_port()}"
        scrams = [
            f"--add-scram={mechanism}=[name={user},password={user}-secret]"
            for user in self.users
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ]
        self.node = JarsKafka({**self._properties(), **(properties or {})}, scrams, self.connection(ADMIN))
        self.node.start()

    def _properties(self) -> dict[str, str]:
        passwords = " ".join(f'user_{user}="{user}-secret"' for user in self.users)
        return {
            "listeners": f"SASL_SSL://127.0.0.1:{{port}},SSL://{self.certified},CONTROLLER://127.0.0.1:{{controller}}",
            "advertised.listeners": f"SASL_SSL://127.0.0.1:{{port}},SSL://{self.certified}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{_PLAIN} {passwords};",
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": f"{_SCRAM};",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                f'{_SCRAM} username="{ADMIN}" password="{ADMIN}-secret";'
            ),
            "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config": (
                f'{_OAUTH} unsecuredLoginStringClaim_sub="{ADMIN}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca),
            "listener.name.ssl.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{ADMIN};User:ANONYMOUS",  # the controller's listener knows no names
        }

    def connection(self, user: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, Any]:
        """The settings of a user."""
        return {
            "security_protocol": "SASL_SSL", "ssl_ca": str(self.ca), "sasl_mechanism": mechanism,
            "sasl_username": user, "sasl_password": f"{user}-secret",
        }  # fmt: skip

    def by_certificate(self) -> dict[str, Any]:
        """The settings of `worker` by its client certificate."""
        return {
            "broker": self.certified, "security_protocol": "SSL", "ssl_ca": str(self.ca),
            "ssl_certificate": str(self.certificate), "ssl_key": str(self.key), "ssl_key_password": "key-secret",
        }  # fmt: skip

    def admin(self) -> AdminClient:
        """A client of the one whom everything is allowed."""
        return clients.admin(Settings(broker=self.node.address, **self.connection(ADMIN)))

    def allow(self, *roles: str) -> None:
        """The ACLs which the page names for these users."""
        bindings = [each for each in acls() if each.principal.removeprefix("User:") in roles]
        admin = self.admin()  # lives until the answers are there
        for future in admin.create_acls(bindings).values():
            future.result(timeout=30)
        deadline = time.monotonic() + 30
        while not {*bindings} <= {
            *admin.describe_acls(_ANY).result(timeout=30)
        }:  # the broker is behind the controller
            assert time.monotonic() < deadline
            time.sleep(0.1)


_ANY = AclBindingFilter(
    ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
)


def acls() -> list[AclBinding]:
    """What the commands of docs/how-to/connect-securely.md add, read as `kafka-acls.sh` reads them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap-server")
    parser.add_argument("--command-config")
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", required=True)
    parser.add_argument("--topic", action="append", default=[])
    parser.add_argument("--group", action="append", default=[])
    parser.add_argument("--resource-pattern-type", default="literal")
    found = []
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    for command in re.findall(r"^kafka-acls\.sh (.*)$", text, re.MULTILINE):
        given = parser.parse_args(shlex.split(command.replace("$KAFKA", "")))
        pattern = ResourcePatternType[given.resource_pattern_type.upper()]
        resources = [(ResourceType.TOPIC, name) for name in given.topic]
        resources += [(ResourceType.GROUP, name) for name in given.group]
        found += [
            AclBinding(kind, name, pattern, given.allow_principal, "*", _operation(each), AclPermissionType.ALLOW)
            for kind, name in resources
            for each in given.operation
        ]
    return found


def _operation(name: str) -> AclOperation:
    return AclOperation[re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()]


def _write_key(path: Path, cert: trustme.LeafCert, *, password: bytes | None = None, chain: bool = True) -> None:
    """In PKCS #8, which is what Kafka reads, the certificates behind it."""
    key = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    path.write_bytes(pem + b"".join(each.bytes() for each in cert.cert_chain_pems) if chain else pem)


class _TokenUrl(BaseHTTPRequestHandler):
    """An endpoint that gives its one client a token of its own name, unsigned: Kafka's validator for tests."""

    def do_POST(self) -> None:
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        client, _, secret = base64.b64decode(credentials).decode().partition(":")
        server: Any = self.server
        server.asked.append(form)
        right = scheme == "Basic" and secret == f"{client}-secret" and form["grant_type"] == ["client_credentials"]
        body = {"access_token": _token(client), "expires_in": 3600} if right else {"error": "invalid_client"}
        data = json.dumps({**body, "token_type": "Bearer"}).encode()
        self.send_response(200 if right else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def _token(subject: str) -> str:
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + 3600, "scope": "kafka"})
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."


@contextmanager
def token_url(cert: trustme.LeafCert) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """(The address of an endpoint for tokens, with TLS; the forms that it was asked with)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    server: Any = HTTPServer(("127.0.0.1", 0), _TokenUrl)
    server.asked = []
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/token", server.asked
    finally:
        server.shutdown()
        server.server_close()

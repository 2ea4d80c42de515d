"""Secrets that no submission may see: random words, planted where an attack would look."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Gradebook
from sqlalchemy.exc import SAWarning

KINDS = ("environment", "other", "notes", "home", "gradebook", "network", "socket", "agent")
VARIABLE = "MLCOURSE_PLANTED"


def new_tokens() -> dict[str, str]:
    """Return a fresh random word for each place."""
    return {kind: f"PLANTED-{kind}-{secrets.token_hex(12)}" for kind in KINDS}


def plant(course: Path, home: Path, assignment: str, tokens: dict[str, str]) -> None:
    """Write the secrets into the instructor's home, the course's notes and the gradebook."""
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    for name in ("secrets.txt", ".netrc", ".ssh/id_ed25519", ".bash_history"):
        (home / name).write_text(f"# {tokens['home']}\n", encoding="utf-8")
    (course / "exam-questions.txt").write_text(f"1. What is {tokens['notes']}?\n", encoding="utf-8")
    # nbgrader's own use of its database; nothing that a test could mend.
    warnings.filterwarnings("ignore", category=SAWarning)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.add_student("planted", first_name=tokens["gradebook"])
        submission = gradebook.add_submission(assignment, "planted")
        for notebook in submission.notebooks:
            for comment in notebook.comments:
                comment.manual_comment = tokens["gradebook"]
        gradebook.db.commit()


@dataclass
class Servers:
    """Programs of the instructor that listen, and say a secret to whoever asks."""

    port: int = 0
    socket: str = ""
    received: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def listening(home: Path, tokens: dict[str, str]) -> Iterator[Servers]:
    """Listen on loopback (TCP and UDP), on an abstract unix socket and on one in the instructor's home."""
    servers = Servers(socket=f"planted-{secrets.token_hex(8)}")
    tcp = socket.create_server(("127.0.0.1", 0))
    servers.port = tcp.getsockname()[1]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", servers.port))
    abstract, agent = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    abstract.bind("\0" + servers.socket)
    path = home / "agent.sock"
    path.unlink(missing_ok=True)
    agent.bind(str(path))
    path.chmod(0o777)  # whoever sees it may speak to it
    answers = [(tcp, tokens["network"]), (abstract, tokens["socket"]), (agent, tokens["agent"])]
    for server, token in answers:
        server.listen()
        threading.Thread(target=_answer, args=(server, token, servers.received), daemon=True).start()
    threading.Thread(target=_collect, args=(datagrams, servers.received), daemon=True).start()
    try:
        yield servers
    finally:
        for server in (tcp, datagrams, abstract, agent):
            server.close()
        path.unlink(missing_ok=True)


def _answer(server: socket.socket, token: str, received: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # closed: the batch is over
            return
        with connection, contextlib.suppress(OSError):
            connection.settimeout(2)
            connection.sendall(token.encode())
            received.append(connection.recv(1_000))


def _collect(server: socket.socket, received: list[bytes]) -> None:
    while True:
        try:
            received.append(server.recv(1_000))
        except OSError:
            return

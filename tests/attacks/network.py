"""Reach other programs: on this machine, and elsewhere."""

from .base import Attack, hunting

FAMILY = "network"


def calling(name: str, tries: str, source: str) -> Attack:
    """Return an attack that prints what other programs send to it."""
    return Attack(
        name, FAMILY, tries, {"fit_least_squares": hunting("import socket\nsocket.setdefaulttimeout(3)\n" + source)}
    )


ATTACKS = [
    calling(
        "loopback",
        "connects to a server on loopback, over IPv4 and IPv6, sends it a message and prints what it says",
        """
for address in ("127.0.0.1", "::1", "localhost"):
    try:
        with socket.create_connection((address, @PORT@)) as connection:
            connection.sendall(b"@MARK@")
            hunt(connection.recv(1_000), address)
    except OSError as error:
        print(error)
""",
    ),
    calling(
        "abstract_socket",
        "connects to an abstract unix socket, which no file permission protects",
        """
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    try:
        with socket.socket(socket.AF_UNIX, kind) as connection:
            connection.connect("\\0@SOCKET@")
            connection.sendall(b"@MARK@")
            hunt(connection.recv(1_000), "abstract")
    except OSError as error:
        print(error)
""",
    ),
    calling(
        "unix_socket_in_home",
        "connects to a server's socket in the instructor's home, and to the well known ones of the system",
        """
for path in ("@HOME@/agent.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"):
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(b"@MARK@")
            hunt(connection.recv(1_000), path)
    except OSError as error:
        print(error)
""",
    ),
    calling(
        "netlink_and_vsock",
        "asks the kernel for interfaces, processes and audit messages by netlink, and the host by vsock",
        """
for family, kind, protocol in ((16, socket.SOCK_RAW, 0), (16, socket.SOCK_RAW, 11), (16, socket.SOCK_RAW, 9),
                               (40, socket.SOCK_STREAM, 0), (17, socket.SOCK_RAW, 768), (2, socket.SOCK_RAW, 1)):
    try:
        with socket.socket(family, kind, protocol) as connection:
            print("opened", family, protocol)
            if family == 40:
                for host in (0, 1, 2):
                    connection.connect((host, 22))
    except OSError as error:
        print(family, error)
print([name for _, name in socket.if_nameindex()])
""",
    ),
    calling(
        "datagrams",
        "sends what it finds out by UDP, without a connection",
        """
try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"@MARK@", ("127.0.0.1", @PORT@))
        sender.sendto(b"@MARK@", ("255.255.255.255", @PORT@))
except OSError as error:
    print(error)
""",
    ),
    calling(
        "listens",
        "listens on a port and on an abstract socket, for a partner in another submission",
        """
try:
    waiting = socket.create_server(("0.0.0.0", 0))
    waiting.settimeout(0.2)
    partner = socket.socket(socket.AF_UNIX)
    partner.bind("\\0@MARK@")
    partner.listen()
    print("listening")
    waiting.accept()
except OSError as error:
    print(error)
""",
    ),
]

import socket
from pathlib import Path

from dev.servers.ports import LOOPBACK, choose_ports, is_free


def test_a_remembered_port_is_kept_while_it_is_free() -> None:
    first = choose_ports(["client", "epmd"], remembered={})

    again = choose_ports(["client", "epmd"], remembered=first)

    assert again == first


def test_a_port_that_somebody_else_listens_on_is_given_up() -> None:
    remembered = choose_ports(["client"], remembered={})
    with socket.create_server((LOOPBACK, remembered["client"])):
        chosen = choose_ports(["client"], remembered=remembered)

    assert chosen["client"] != remembered["client"]
    assert is_free(chosen["client"])


def test_the_ports_of_one_server_differ_even_when_remembered_as_equal() -> None:
    port = choose_ports(["client"], remembered={})["client"]

    chosen = choose_ports(["client", "epmd"], remembered={"client": port, "epmd": port})

    assert chosen["client"] == port
    assert chosen["epmd"] != port


def test_ports_are_below_those_that_the_kernel_gives_to_clients() -> None:
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    chosen = choose_ports([f"port {number}" for number in range(50)], remembered={})

    assert max(chosen.values()) < max(first_ephemeral, 32_768)

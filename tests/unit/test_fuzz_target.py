"""The fuzz target reads what it is given, also where atheris is not installed."""

import sys
from random import Random

import pytest

from fuzz import fuzz_intake
from overview_worker.compression import refuse_compressed_messages
from overview_worker.tolerant_amqp import tolerate_unreadable_messages


@pytest.fixture(autouse=True)
def _as_in_the_intake():
    refuse_compressed_messages()
    tolerate_unreadable_messages()


@pytest.mark.parametrize("seed", fuzz_intake.SEEDS)
def test_its_seeds_are_read(seed):
    fuzz_intake.check(seed)


def test_bytes_at_random_are_read():
    chance = Random(1)  # noqa: S311 - no secret
    for _ in range(2_000):
        kind = chance.choice([b"\x00", b"\x01", b"\x01\x20\x00\x00\x00\x00"])
        fuzz_intake.check(kind + chance.randbytes(chance.randrange(60)))


def test_without_atheris_it_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "atheris", None)

    assert fuzz_intake.main([]) == 2
    assert "atheris is not installed" in capsys.readouterr().err

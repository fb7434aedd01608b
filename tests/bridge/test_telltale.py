"""Which of Python's audit events are attempts, and that what a policy raises is printed before the server ends."""

from typing import Any

import pytest

from daf.bridge.telltale import attempt, telling


@pytest.mark.parametrize(
    ("event", "arguments", "expected"),
    [
        ("socket.connect", (None, ("192.0.2.1", 80)), "it tried to reach 192.0.2.1"),
        ("socket.connect", (None, "/run/docker.sock"), "it tried to reach /run/docker.sock"),
        ("socket.connect", (None, ("127.0.0.1", 80)), None),
        ("socket.connect", (None, ("::1", 80, 0, 0)), None),
        ("socket.getaddrinfo", ("example.org", 80, 0, 0, 0), "it asked for the address of example.org"),
        ("socket.getaddrinfo", (None, 80, 0, 0, 0), None),
        ("os.fork", (), "it started another process"),
        ("subprocess.Popen", ("sh", [], None, None), "it started another process"),
        ("os.kill", (1, 9), "it sent a signal to a process"),
        ("os.listdir", ("/",), None),
    ],
)
def test_attempts(event: str, arguments: tuple[Any, ...], expected: str | None) -> None:
    assert attempt(event, arguments) == expected


def test_what_a_policy_raises_is_printed_and_raised(capsys: pytest.CaptureFixture[str]) -> None:
    def step(number: int) -> int:
        if number:
            raise SystemExit("leaving")
        return 5

    told = telling(step)
    assert told(0) == 5
    with pytest.raises(SystemExit):
        told(1)
    assert capsys.readouterr().err.splitlines()[-1] == "SystemExit: leaving"

"""What a jailed command tries: none of it gets out, and how it ended is told."""

import os
import socket
import sys
import threading
import time
import uuid
from pathlib import Path

import psutil
import pytest

from daf.bridge.jail import FILES, NETWORK, PROCESSES, Jailed, JailLimits, run_jailed

LIMITS = JailLimits(seconds=20, memory_bytes=2**29, total_bytes=2**29, disk_bytes=2**24, file_bytes=2**22, processes=20)


def jailed(code: str, limits: JailLimits = LIMITS, given: bytes = b"") -> Jailed:
    return run_jailed([sys.executable, "-S", "-c", code], limits, given=given)


@pytest.fixture(scope="module")
def walls() -> frozenset[str]:
    """The walls that this machine allows, which decide what can be expected."""
    return jailed("pass").walls


def needs(walls: frozenset[str], *names: str) -> None:
    if missing := set(names) - walls:
        pytest.skip(f"this machine gives a process no {', '.join(sorted(missing))} of its own")


def test_output_errors_and_exit_code_come_out() -> None:
    found = jailed("import sys; print(sys.stdin.read()[::-1]); print('oh', file=sys.stderr); sys.exit(3)", given=b"abc")
    assert (found.returncode, found.broken, found.output, found.errors) == (3, None, b"cba\n", "oh\n")


def test_the_environment_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-for-you")
    code = """
import glob
print(open('/proc/self/environ').read())
for place in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/task/*/environ'):
    try: print(open(place).read())
    except OSError: pass
"""
    found = jailed(code)
    assert found.returncode == 0 and b"PATH=" in found.output
    assert b"not-for-you" not in found.output and b"AWS_SECRET" not in found.output


def test_it_reaches_no_network(walls: frozenset[str]) -> None:
    needs(walls, NETWORK)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = jailed(f"""
import socket
for address in (('127.0.0.1', {port}), ('192.0.2.1', 80)):
    try: socket.create_connection(address, 3); print('through')
    except OSError as error: print(type(error).__name__)
with socket.create_server(('127.0.0.1', 0)) as own:
    socket.create_connection(own.getsockname(), 3); print('own loopback')
""")
    assert found.output.split(b"\n")[:3] == [b"ConnectionRefusedError", b"OSError", b"own loopback"]


def test_a_daemon_ends_with_it(walls: frozenset[str]) -> None:
    mark = f"daf-test-{uuid.uuid4().hex}"
    found = jailed(f"""
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        subprocess.Popen([sys.executable, '-S', '-c', 'import signal,time; signal.signal(15, 1); time.sleep(60)',
                          {mark!r}])
        time.sleep(60)
    os._exit(0)
time.sleep(0.5)
""")
    assert found.returncode == 0
    assert not [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]
    assert PROCESSES in walls or found.survivors == 2


def test_its_time_is_limited_whatever_it_does_with_signals() -> None:
    started = time.monotonic()
    code = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; time.sleep(60)"
    found = jailed(code, JailLimits(seconds=1))
    assert (found.broken, found.returncode) == ("time", -9)
    assert time.monotonic() - started < 15


def test_memory_of_one_process_is_limited() -> None:
    found = jailed("bytearray(2**30)")
    assert (found.returncode, found.broken) == (1, None)
    assert "MemoryError" in found.errors


def test_memory_of_all_processes_is_limited() -> None:
    code = "import os, time; [os.fork() for _ in range(2)]; kept = bytearray(b'x') * 2**28; time.sleep(30)"
    assert jailed(code).broken == "memory"


def test_the_number_of_processes_is_limited() -> None:
    code = "import os, time\nfor _ in range(40):\n  if os.fork() == 0: break\ntime.sleep(30)"
    assert jailed(code).broken == "processes"


def test_a_fork_bomb_ends(walls: frozenset[str]) -> None:
    needs(walls, PROCESSES)
    code = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    found = jailed(code, JailLimits(seconds=3, processes=10))
    assert found.broken in ("processes", "time")


def test_the_disk_is_limited(walls: frozenset[str]) -> None:
    code = """
import os, time
for i in range(100):
    with open(os.path.join(os.environ['TMPDIR'], str(i)), 'wb') as file:
        file.write(bytes(2**21))
time.sleep(0.3)
"""
    found = jailed(code)
    assert "No space left" in found.errors if FILES in walls else found.broken == "disk"


def test_a_file_is_limited() -> None:
    found = jailed("open('large', 'wb').write(bytes(2**23))")
    assert (found.returncode, "File too large" in found.errors) == (1, True)


def test_what_it_prints_is_limited() -> None:
    found = jailed("while True: print('x' * 2**20)")
    assert found.returncode != 0
    assert len(found.output) <= LIMITS.file_bytes


def test_it_writes_nothing_outside(walls: frozenset[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    needs(walls, FILES)
    found = jailed(f"""
import os
for place in (os.path.expanduser('~'), '.', {str(tmp_path)!r}, '/etc', '/usr', {sys.prefix!r}, '/proc/sys/kernel',
              '/var/tmp', '/root'):
    try:
        os.makedirs(place, exist_ok=True); open(place + '/left-by-jail', 'w').close(); print('wrote', place)
    except OSError as error: print(type(error).__name__, place)
try: open('/proc/sysrq-trigger', 'w'); print('sysrq')
except OSError: pass
""")
    assert found.returncode == 0 and b"sysrq" not in found.output and b"wrote ." in found.output
    for place in (tmp_path, Path("/etc"), Path("/usr"), Path(sys.prefix), Path("/var/tmp"), Path.home()):
        assert not (place / "left-by-jail").exists()


def test_it_sees_no_files_of_the_user(walls: frozenset[str], tmp_path: Path) -> None:
    needs(walls, FILES)
    (tmp_path / "token").write_text("not-for-you")
    code = f"import os; print(os.path.exists({str(tmp_path)!r}), os.path.exists('/etc/shadow'), os.listdir('/'))"
    found = jailed(code)
    assert found.output.startswith(b"False False")
    assert b"'var'" not in found.output and b"'run'" not in found.output


def test_a_copy_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "a").write_text("first")
    code = "import os; p = os.environ['TMPDIR'] + '/given/b/a'; print(open(p).read()); open(p, 'w').write('second')"
    found = run_jailed([sys.executable, "-S", "-c", code], LIMITS, copies={"given/b": tmp_path / "bundle"})
    assert found.output == b"first\n"
    assert (tmp_path / "bundle" / "a").read_text() == "first"


def test_it_has_no_rights_to_get_back(walls: frozenset[str]) -> None:
    needs(walls, FILES)
    found = jailed("""
import ctypes, os
print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapPrm', 'CapEff', 'CapBnd'))])
libc = ctypes.CDLL(None, use_errno=True)
for what in (lambda: os.setuid(0), lambda: os.chroot('/tmp')):
    try: what(); print('got', what)
    except OSError: pass
print(libc.mount(b'tmpfs', b'/usr', b'tmpfs', 0, None), libc.umount2(b'/usr', 2))
""")
    assert f"{['0' * 16] * 3}".encode() in found.output
    assert b"-1 -1" in found.output
    assert b"got" not in found.output or os.geteuid() != 0


def test_it_does_not_end_its_warden(walls: frozenset[str]) -> None:
    needs(walls, PROCESSES)
    found = jailed(
        "import os, signal\nfor p in (os.getppid(), 1):\n  os.kill(p, 9) if p else None\nprint('still here')"
    )
    assert (found.returncode, found.output) == (0, b"still here\n")


def test_a_command_that_is_not_there_is_told() -> None:
    found = run_jailed(["/no/such/program"], LIMITS)
    assert found.returncode == 125 and "could not be furnished" in found.errors


def test_another_thread_can_end_it() -> None:
    stop = threading.Event()
    threading.Timer(1, stop.set).start()
    started = time.monotonic()
    mark = f"daf-test-{uuid.uuid4().hex}"
    found = run_jailed([sys.executable, "-S", "-c", "import time; time.sleep(60)", mark], LIMITS, stop=stop)
    assert found.returncode is None and time.monotonic() - started < 15
    for _ in range(50):
        left = [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]
        if not left:
            break
        time.sleep(0.1)
    assert not left

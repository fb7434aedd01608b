"""Bundles of other people: nothing of them runs unasked, and nothing of them lands outside of its folder."""

import io
import json
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from daf.bridge import bundles
from daf.bridge.bundles import BundleError, bundles_folder, read_bundle, unpacked
from daf.bridge.episode import policy_interface
from daf.bridge.policies import load_policy, policy_digest, resolve_policy
from daf.config.schemas import policy_from_text
from daf.episodes.play import daf_play_episodes
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec
from tests.made_up import SECRETS_OF_THE_ENVIRONMENT

MISSION = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=10)
NOOP = "mettagrid.policy.noop.NoopPolicy"
LSTM = "mettagrid.policy.lstm.LSTMPolicy"
MARK = "import os, pathlib\npathlib.Path({marker!r}).write_text(repr(dict(os.environ)))\n"
OWN_CLASS = "from mettagrid.policy.noop import NoopPolicy\nclass Theirs(NoopPolicy):\n    pass\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in SECRETS_OF_THE_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


def spec_text(class_path: object = NOOP, **more: object) -> str:
    return json.dumps({"class_path": class_path, **more})


def packed(path: Path, files: dict[str, str | bytes]) -> Path:
    """A zip or a compressed tar of these files."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def zip_entry(path: Path, name: str, mode: int, content: str = "/etc/passwd") -> Path:
    """A zip with one entry of a kind, such as a link."""
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy_spec.json", spec_text())
        archive.writestr(entry, content)
    return path


def tar_entry(path: Path, kind: bytes, name: str = "data", link: str = "/etc/passwd") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        data = spec_text().encode()
        entry = tarfile.TarInfo("policy_spec.json")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
        odd = tarfile.TarInfo(name)
        odd.type, odd.linkname = kind, link
        tar.addfile(odd)
    return path


def bomb(path: Path) -> Path:
    return packed(path, {"policy_spec.json": spec_text(), "zeros": bytes(bundles.SMALL_BYTES + 1)})


SPEC = "policy_spec.json"
HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "escaping": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), "../../out": "x"}), "leads out"),
    "absolute": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), "/tmp/out": "x"}), "leads out"),
    "backslash": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), "..\\out": "x"}), "leads out"),
    "home": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), "~/out": "x"}), "leads out"),
    "escaping tar": (lambda p: packed(p / "b.tar.gz", {SPEC: spec_text(), "../out": "x"}), "leads out"),
    "absolute tar": (lambda p: packed(p / "b.tgz", {SPEC: spec_text(), "/tmp/out": "x"}), "leads out"),
    "link": (lambda p: zip_entry(p / "b.zip", "data", stat.S_IFLNK | 0o777), "link or a device"),
    "device": (lambda p: zip_entry(p / "b.zip", "data", stat.S_IFCHR | 0o666), "link or a device"),
    "pipe": (lambda p: zip_entry(p / "b.zip", "data", stat.S_IFIFO | 0o666), "link or a device"),
    "link in a tar": (lambda p: tar_entry(p / "b.tar.gz", tarfile.SYMTYPE), "link or a device"),
    "hard link": (lambda p: tar_entry(p / "b.tar.gz", tarfile.LNKTYPE), "link or a device"),
    "device in a tar": (lambda p: tar_entry(p / "b.tar.gz", tarfile.CHRTYPE), "link or a device"),
    "folder outside": (lambda p: tar_entry(p / "b.tar.gz", tarfile.DIRTYPE, "../out"), "leads out"),
    "bomb": (lambda p: bomb(p / "b.zip"), "would grow"),
    "bomb in a tar": (lambda p: bomb(p / "b.tar.gz"), "would grow"),
    "many files": (
        lambda p: packed(p / "b.zip", {f"f{i}": "" for i in range(bundles.MOST_FILES + 1)}),
        "more than 10,000 files",
    ),
    "twice": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), f"./{SPEC}": spec_text("mine.Other")}), "twice"),
    "empty": (lambda p: _written(p / "b.zip", b""), "cannot be read as a bundle"),
    "no zip": (lambda p: _written(p / "b.zip", b"hello"), "cannot be read as a bundle"),
    "no tar": (lambda p: _written(p / "b.tar.gz", b"hello"), "cannot be read as a bundle"),
    "half": (lambda p: _half(packed(p / "b.tar.gz", {SPEC: spec_text(), "x": os.urandom(4_000)})), "cannot be read"),
    "without a spec": (lambda p: packed(p / "b.zip", {"x": ""}), "holds no policy_spec.json"),
    "without a class": (lambda p: packed(p / "b.zip", {SPEC: "{}"}), "class_path: Field required"),
    "a list": (lambda p: packed(p / "b.zip", {SPEC: "[1]"}), "not what CoGames writes"),
    "no JSON": (lambda p: packed(p / "b.zip", {SPEC: "{"}), "is no JSON"),
    "nested": (lambda p: packed(p / "b.zip", {SPEC: "[" * 100_000}), "is no JSON"),
    "no text": (lambda p: packed(p / "b.zip", {SPEC: b"\xff\xfe\x00\xd8"}), "is no JSON"),
    "huge spec": (lambda p: packed(p / "b.zip", {SPEC: " " * (bundles.MOST_SPEC_BYTES + 1)}), "larger than"),
    "wrong types": (lambda p: packed(p / "b.zip", {SPEC: spec_text(init_kwargs=[1])}), "init_kwargs"),
    "class as a number": (lambda p: packed(p / "b.zip", {SPEC: spec_text(3)}), "class_path"),
    "class as a file": (lambda p: packed(p / "b.zip", {SPEC: spec_text("/tmp/evil.py:Policy")}), "class_path"),
    "class outside": (lambda p: packed(p / "b.zip", {SPEC: spec_text("../evil.Policy")}), "class_path"),
    "data absolute": (lambda p: packed(p / "b.zip", {SPEC: spec_text(data_path="/etc/passwd")}), "data_path"),
    "data outside": (lambda p: packed(p / "b.zip", {SPEC: spec_text(data_path="../x")}), "data_path"),
    "data missing": (lambda p: packed(p / "b.zip", {SPEC: spec_text(data_path="x")}), "data_path"),
    "setup outside": (lambda p: packed(p / "b.zip", {SPEC: spec_text(setup_script="/tmp/s.py")}), "setup_script"),
    "null": (lambda p: packed(p / "b.zip", {SPEC: "null"}), "not what CoGames writes"),
    "a number": (lambda p: packed(p / "b.zip", {SPEC: "3"}), "not what CoGames writes"),
    "setup missing": (lambda p: packed(p / "b.zip", {SPEC: spec_text(setup_script="x.py")}), "setup_script"),
    "data on a drive": (lambda p: packed(p / "b.zip", {SPEC: spec_text(data_path="C:/x")}), "data_path"),
    "drive": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), "C:/out": "x"}), "leads out"),
    "drive in a tar": (lambda p: packed(p / "b.tar.gz", {SPEC: spec_text(), "c:out": "x"}), "leads out"),
    "in the middle": (lambda p: packed(p / "b.tar.gz", {SPEC: spec_text(), "a/../../out": "x"}), "leads out"),
    "folder in a zip": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), "../out/": ""}), "leads out"),
    "case": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), SPEC.upper(): spec_text("mine.Other")}), "twice"),
    "composed": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), "\u00e4": "", "a\u0308": ""}), "twice"),
    "twice in a tar": (lambda p: packed(p / "b.tgz", {SPEC: spec_text(), f"./{SPEC}": spec_text("mine.X")}), "twice"),
    "newline": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), "x\ny": ""}), "cannot be shown"),
    "escape": (lambda p: packed(p / "b.tar.gz", {SPEC: spec_text(), "\x1b[2J": ""}), "cannot be shown"),
    "no unicode": (lambda p: packed(p / "b.tar.gz", {SPEC: spec_text(), "\udcff": ""}), "cannot be shown"),
    "long name": (lambda p: packed(p / "b.zip", {SPEC: spec_text(), "x" * 256: ""}), "too long"),
    "long path": (lambda p: packed(p / "b.tar.gz", {SPEC: spec_text(), "x/" * 600 + "x": ""}), "too long"),
    "many folders": (
        lambda p: packed(p / "b.zip", {f"f{i}/": "" for i in range(bundles.MOST_FILES + 1)}),
        "more than 10,000 files",
    ),
    "encrypted": (lambda p: _patched(_sound(p), b"PK\x01\x02", 8, b"\x01"), "is encrypted"),
    "other method": (lambda p: _patched(_sound(p), b"PK\x01\x02", 10, b"\x63"), "cannot be read as a bundle"),
    "other name inside": (lambda p: _patched(_sound(p), b"PK\x03\x04", 30, b"q"), "cannot be read as a bundle"),
    "other content": (lambda p: _patched(_sound(p), b"PK\x03\x04", 30 + len(SPEC) + 2, b"\xff"), "cannot be read"),
    "larger than said": (lambda p: _patched(_sound(p), b"PK\x01\x02", 24, b"\x01\0\0\0"), "cannot be read|is no JSON"),
    "huge as said": (lambda p: _patched(_sound(p), b"PK\x01\x02", 24, b"\xf0\xff\xff\xff"), "would grow"),
    "half a zip": (lambda p: _half(_sound(p)), "cannot be read as a bundle"),
    "behind": (lambda p: _written(p / "b.zip", _sound(p).read_bytes() + b"junk"), "before or behind"),
    "before": (lambda p: _written(p / "b.zip", b"#!/bin/sh\n" + _sound(p).read_bytes()), "before or behind"),
    "behind a tar": (
        lambda p: _written(p / "b.tgz", packed(p / "b.tgz", {SPEC: spec_text()}).read_bytes() + b"junk"),
        "cannot be read as a bundle",
    ),
    "pipe in a tar": (lambda p: tar_entry(p / "b.tar.gz", tarfile.FIFOTYPE), "link or a device"),
    "disk in a tar": (lambda p: tar_entry(p / "b.tar.gz", tarfile.BLKTYPE), "link or a device"),
    "holes": (
        lambda p: pax_entry(p / "b.tar.gz", {"GNU.sparse.size": "99999999", "GNU.sparse.map": "0,512"}),
        "link or a",
    ),
    "renamed in a header": (lambda p: pax_entry(p / "b.tar.gz", {"path": "../../out"}), "leads out"),
    "larger in a header": (lambda p: pax_entry(p / "b.tar.gz", {"size": str(2**60)}), "not as large as it says"),
    "a file and a folder": (lambda p: packed(p / "b.tar.gz", {SPEC: spec_text(), f"{SPEC}/x": ""}), "twice"),
    "folder, data outside": (lambda p: _folder(p, spec_text(data_path="../marker")), "data_path"),
    "folder, data linked": (lambda p: _linked(_folder(p, spec_text(data_path="x"))), "data_path"),
}


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _half(path: Path) -> Path:
    return _written(path, path.read_bytes()[: path.stat().st_size // 2])


def _sound(folder: Path) -> Path:
    """A sound zip, not compressed, with the spec alone."""
    with zipfile.ZipFile(folder / "b.zip", "w") as archive:
        archive.writestr(SPEC, spec_text())
    return folder / "b.zip"


def _patched(path: Path, mark: bytes, offset: int, value: bytes) -> Path:
    """Writes over some bytes behind a header."""
    content = bytearray(path.read_bytes())
    at = content.index(mark) + offset
    content[at : at + len(value)] = value
    return _written(path, bytes(content))


def pax_entry(path: Path, headers: dict[str, str]) -> Path:
    """A tar with an entry that a header of its own says something else about."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for name, data in ((SPEC, spec_text().encode()), ("data", b"x" * 512)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.pax_headers = headers if name == "data" else {}
            tar.addfile(entry, io.BytesIO(data))
    return path


def _folder(parent: Path, spec: str) -> Path:
    (parent / "folder").mkdir()
    (parent / "folder" / SPEC).write_text(spec)
    return parent / "folder"


def _linked(folder: Path) -> Path:
    (folder / "x").symlink_to("/etc/passwd")
    return folder


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_bundle_that_is_not_sound_is_refused_with_a_sentence(kind: str, tmp_path: Path) -> None:
    make, sentence = HOSTILE[kind]
    path = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=sentence):
        resolve_policy(PolicySpec(name="x", class_path="noop", weights=str(path), trust=True))
    with pytest.raises(ValueError, match=sentence):
        policy_from_text(str(path))
    assert sorted(tmp_path.rglob("*")) == before


def theirs(path: Path, marker: Path, **more: object) -> Path:
    """A bundle that notes when anything of it runs."""
    mark = MARK.format(marker=str(marker))
    files: dict[str, str | bytes] = {
        SPEC: spec_text("theirs.policy.Theirs", setup_script="setup_it.py", **more),
        "theirs/__init__.py": mark,
        "theirs/policy.py": OWN_CLASS,
        "setup_it.py": MARK.format(marker=f"{marker}.setup") + "pathlib.Path('made').touch()\n",
    }
    return packed(path, files)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_nothing_of_a_bundle_runs_before_it_is_trusted(suffix: str, tmp_path: Path, marker: Path) -> None:
    path = theirs(tmp_path / f"b{suffix}", marker)
    spec = PolicySpec(name="x", class_path="theirs.policy.Theirs", weights=str(path))
    assert policy_from_text(str(path)) == {"class_path": spec.class_path, "weights": str(path)}
    for action in (resolve_policy, policy_digest, lambda spec: load_policy(policy_interface(MISSION), spec)):
        with pytest.raises(ValueError, match=r"policy\.trust=true") as refused:
            action(spec)
    assert read_bundle(path).digest() in str(refused.value)
    other = PolicySpec(name="x", class_path=spec.class_path, weights=str(path), trust=("0" * 64,))
    with pytest.raises(ValueError, match=r"policy\.trust=true"):
        resolve_policy(other)
    assert sorted(tmp_path.glob("marker*")) == []
    assert not bundles_folder().exists()


def test_a_setup_script_of_cogames_own_class_needs_trust_too(tmp_path: Path, marker: Path) -> None:
    files: dict[str, str | bytes] = {
        SPEC: spec_text("noop", setup_script="s.py"),
        "s.py": MARK.format(marker=str(marker)),
    }
    path = packed(tmp_path / "b.zip", files)
    with pytest.raises(ValueError, match=r"setup script \(s\.py\)"):
        resolve_policy(PolicySpec(name="x", class_path="noop", weights=str(path)))
    assert not marker.exists()


def test_a_trusted_setup_script_runs_once_and_sees_no_secret(tmp_path: Path, marker: Path) -> None:
    path = theirs(tmp_path / "b.zip", marker)
    digest = read_bundle(path).digest()
    spec = PolicySpec(name="x", class_path="theirs.policy.Theirs", weights=str(path), trust=(digest,))
    resolve_policy(spec)
    seen = Path(f"{marker}.setup")
    assert not any(secret in seen.read_text() for secret in SECRETS_OF_THE_ENVIRONMENT.values())
    assert "PATH" in seen.read_text()
    seen.unlink()
    assert policy_digest(spec) == policy_digest(spec)
    assert not seen.exists()
    with pytest.raises(ValueError, match="clean environment"):  # this process has secrets in its environment
        load_policy(policy_interface(MISSION), spec)
    assert not marker.exists()


def test_a_setup_script_that_fails_leaves_nothing(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {SPEC: spec_text(setup_script="s.py"), "s.py": "raise SystemExit('no way')"}
    bundle = read_bundle(packed(tmp_path / "b.zip", files))
    with pytest.raises(BundleError, match="exit code 1: no way"):
        unpacked(bundle, run_setup=True)
    assert [path for path in bundles_folder().iterdir() if path.suffix != ".lock"] == []


def test_what_is_unpacked_is_this_users_alone_and_verified(tmp_path: Path) -> None:
    bundle = read_bundle(packed(tmp_path / "b.zip", {SPEC: spec_text(), "deep/x": "right"}))
    folder = unpacked(bundle, run_setup=False)
    assert folder.parent == bundles_folder()
    assert folder.name == bundle.digest()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}
    (folder / "deep" / "x").write_text("wrong")
    (folder / "planted.py").touch()
    assert unpacked(bundle, run_setup=False) == folder
    assert {path.name for path in folder.rglob("*")} == {SPEC, "deep", "x"}
    assert (folder / "deep" / "x").read_text() == "right"
    folder.chmod(0o777)
    unpacked(bundle, run_setup=False)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    bundle = read_bundle(packed(tmp_path / "b.zip", {SPEC: spec_text()}))
    bundles_folder().mkdir(parents=True)
    bundles_folder().chmod(0o777)
    with pytest.raises(BundleError, match="not yours alone"):
        unpacked(bundle, run_setup=False)
    bundles_folder().rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    bundles_folder().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="not yours alone"):
        unpacked(bundle, run_setup=False)


def test_a_folder_that_was_planted_under_the_temporary_one_is_not_read(tmp_path: Path, marker: Path) -> None:
    planted = Path(tempfile.gettempdir()) / f"daf-bundles-{os.getuid()}"
    bundle = packed(tmp_path / "b.zip", {SPEC: spec_text()})
    evil = packed(
        tmp_path / "evil.zip", {SPEC: spec_text(setup_script="s.py"), "s.py": MARK.format(marker=str(marker))}
    )
    there = planted.exists()
    planted.mkdir(exist_ok=True)
    copy = planted / f"{read_bundle(bundle).digest()}.zip"
    copy.write_bytes(evil.read_bytes())
    try:
        resolved = resolve_policy(PolicySpec(name="x", class_path="noop", weights=str(bundle)))
    finally:
        copy.unlink()
        if not there:
            planted.rmdir()
    assert resolved.class_path == NOOP
    assert not marker.exists()


def test_short_class_names_and_shadowed_packages(tmp_path: Path, marker: Path) -> None:
    """CoGames takes short names; a package that is called as CoGames' own is never imported."""
    files: dict[str, str | bytes] = {
        SPEC: spec_text("noop"),
        "mettagrid/__init__.py": MARK.format(marker=str(marker)),
    }
    spec = PolicySpec(name="x", class_path="noop", weights=str(packed(tmp_path / "b.zip", files)))
    load_policy(policy_interface(MISSION), spec)
    assert not marker.exists()
    path = packed(tmp_path / "c.zip", {SPEC: spec_text("numpy.Evil"), "numpy/__init__.py": ""})
    with pytest.raises(ValueError, match="which DAF uses"):
        resolve_policy(PolicySpec(name="x", class_path="numpy.Evil", weights=str(path), trust=True))


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("kind", ["empty", "truncated", "malicious", "shapes", "pipe", "folder"])
def test_weights_that_are_none_end_in_a_sentence(
    kind: str, tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pt"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "malicious":
        torch.save({"x": Malicious(marker)}, path)
    else:
        torch.save({"x": torch.zeros(3)}, path)
        content = path.read_bytes()
        path.write_bytes({"empty": b"", "truncated": content[:100], "shapes": content}[kind])
    sentences = {"shapes": "do not fit", "pipe": "no regular file", "folder": "holds neither"}
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises((ValueError, FileNotFoundError), match=sentences.get(kind, "no file of weights")):
        load_policy(policy_interface(MISSION), PolicySpec(name="x", class_path="lstm", weights=str(path)))
    assert not marker.exists()


@pytest.mark.slow
def test_a_trusted_bundle_plays_in_a_process_without_secrets(tmp_path: Path, marker: Path) -> None:
    path = theirs(tmp_path / "b.zip", marker)
    spec = PolicySpec(name="x", class_path="theirs.policy.Theirs", weights=str(path), trust=True)
    plan = EpisodePlan(mission=MISSION, policies=(spec,), assignments=(0, 0), seed=1)
    (outcome,) = daf_play_episodes([plan], workers=1)
    assert isinstance(outcome, EpisodeRecord), outcome
    for seen in (marker.read_text(), Path(f"{marker}.setup").read_text()):
        assert not any(secret in seen for secret in SECRETS_OF_THE_ENVIRONMENT.values())

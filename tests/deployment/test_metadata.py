"""What a bundle says of itself, and whether it is true."""

import json
from pathlib import Path

import pytest

from daf.bridge.bundles import MOST_SPEC_BYTES, BundleError
from daf.deployment.archives import Member, write_tar_gz, write_zip
from daf.deployment.metadata import METADATA_FILE, BundleMetadata, check_digests, read_metadata

SPEC = b'{"class_path": "noop"}'


def metadata(**more: object) -> BundleMetadata:
    files = {"policy_spec.json": Member.of(SPEC).digest, "deep/x": Member.of(b"x").digest}
    return BundleMetadata.model_validate({"name": "n", "version": "1.0.0", "class_path": "noop", "files": files} | more)


def bundle(path: Path, text: bytes | None) -> Path:
    contents = {"policy_spec.json": SPEC, "deep/x": b"x"} | ({} if text is None else {METADATA_FILE: text})
    members = {name: Member.of(content) for name, content in contents.items()}
    (write_zip if path.suffix == ".zip" else write_tar_gz)(path, members)
    return path


def unpacked(folder: Path) -> Path:
    (folder / "b/deep").mkdir(parents=True)
    (folder / "b/policy_spec.json").write_bytes(SPEC)
    (folder / "b/deep/x").write_text("x")
    (folder / "b" / METADATA_FILE).write_bytes(metadata().text())
    return folder / "b"


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_it_is_read_back_from_both_formats(suffix: str, tmp_path: Path) -> None:
    assert read_metadata(bundle(tmp_path / f"b{suffix}", metadata().text())) == metadata()
    assert read_metadata(unpacked(tmp_path)) == metadata()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "was not made by task=package"),
        (b"", "not what DAF writes"),
        (b"[]", "not what DAF writes"),
        (b"null", "not what DAF writes"),
        (b"{", "not what DAF writes"),
        (b"\xff\xfe", "not what DAF writes"),
        (b"[" * 100_000, "not what DAF writes"),
        (b" " * (MOST_SPEC_BYTES + 1), "larger than"),
        (metadata().text().replace(b'"schema_version": 1', b'"schema_version": 2'), "schema_version"),
        (metadata().text().replace(b'"1.0.0"', b'"../1.0.0"'), "version"),
        (metadata().text().replace(b'"name": "n"', b'"name": "../n"'), "name"),
        (metadata().text().replace(Member.of(b"x").digest.encode(), b"0"), "files.deep/x"),
        (metadata().text().replace(b'"run_id"', b'"more": 1, "run_id"'), "more: Extra inputs"),
    ],
)
def test_what_is_no_metadata_is_told(text: bytes | None, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=sentence):
        read_metadata(bundle(tmp_path / "b.zip", text))


def test_whole_files_pass(tmp_path: Path) -> None:
    check_digests(unpacked(tmp_path), metadata())


def test_files_that_are_missing_beside_or_changed_are_named(tmp_path: Path) -> None:
    folder = unpacked(tmp_path)
    (folder / "deep/x").unlink()
    (folder / "policy_spec.json").write_text(json.dumps({"class_path": "random"}))
    (folder / "deep/evil.py").touch()
    with pytest.raises(BundleError) as refused:
        check_digests(folder, metadata())
    for part in ("missing: 'deep/x'", "not named: 'deep/evil.py'", "of another content: 'policy_spec.json'"):
        assert part in str(refused.value)


def test_a_link_is_no_file(tmp_path: Path) -> None:
    folder = unpacked(tmp_path)
    (folder / "deep/x").unlink()
    (tmp_path / "x").write_text("x")
    (folder / "deep/x").symlink_to(tmp_path / "x")
    with pytest.raises(BundleError, match="of another content"):
        check_digests(folder, metadata())

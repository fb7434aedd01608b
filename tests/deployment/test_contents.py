"""What goes into a bundle: the policy's own files and those that were named, from where they may come."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.bridge.sources import PolicyParts
from daf.config import DAFConfig
from daf.deployment.contents import bundle_files
from daf.errors import DAFConfigError
from daf.redaction import redactor

Load = Callable[..., DAFConfig]


def parts(root: Path, *names: str) -> PolicyParts:
    files = {name: root / name for name in names}
    return PolicyParts(class_path="a.B", data_path=None, init_kwargs={}, files=files, roots=(root,))


def refusal(config: DAFConfig, of: PolicyParts) -> str:
    with pytest.raises(DAFConfigError) as refused:
        bundle_files(config, "policy", of)
    assert refused.value.exit_code == 2
    return str(refused.value)


def test_named_files_and_folders_come_along_without_what_is_hidden(tiny: Load, own_package: Path) -> None:
    config = tiny("deployment.files=[data,theirs/table.json]")
    found = bundle_files(config, "policy", parts(own_package, "theirs/upper.py"))
    assert found.keys() == {"theirs/upper.py", "data/a.txt", "theirs/table.json"}
    assert {name: path.resolve() for name, path in found.items()} == {name: own_package / name for name in found}


def test_a_file_is_named_below_the_root_that_holds_it(tiny: Load, own_package: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/maps.txt").write_text("x")
    named = f"deployment.files=[{tmp_path}/elsewhere/maps.txt]"
    assert "lies outside of the folders" in refusal(tiny(named), parts(own_package))
    found = bundle_files(tiny(named, f"deployment.roots=[{tmp_path}/elsewhere]"), "policy", parts(own_package))
    assert found.keys() == {"maps.txt"}
    found = bundle_files(tiny(named, f"deployment.roots=[{tmp_path}]"), "policy", parts(own_package))
    assert found.keys() == {"elsewhere/maps.txt"}


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        (".env", ".env is hidden"),
        (".git/config", ".git is hidden"),
        ("data/__pycache__/b.pyc", "left behind by a tool"),
        ("nowhere.txt", "there is nothing at"),
        ("../outside.txt", "lies outside"),
        ("/etc/passwd", "lies outside"),
        ("link.txt", "is a link"),
        ("link_out.txt", "lies outside"),
        ("linked/passwd", "lies outside"),
        ("pipe", "no regular file"),
        ("metadata.json", "DAF writes itself"),
        ("policy_spec.json", "DAF writes itself"),
        ("'odd:name.txt'", "no name for every system"),
        ("DATA/A.TXT", "would both be DATA/A.TXT"),
        ("hasbeen", "is a link"),
    ],
)
def test_what_may_not_be_packed_is_named(
    named: str, sentence: str, tiny: Load, own_package: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside.txt").touch()
    for name in ("metadata.json", "policy_spec.json", "odd:name.txt"):
        (own_package / name).touch()
    (own_package / "link.txt").symlink_to("data/a.txt")
    (own_package / "link_out.txt").symlink_to("/etc/passwd")
    (own_package / "linked").symlink_to("/etc")
    (own_package / "hasbeen").mkdir()
    (own_package / "hasbeen/x").symlink_to("/etc/passwd")
    os.mkfifo(own_package / "pipe")
    (own_package / "DATA").mkdir()
    (own_package / "DATA/A.TXT").touch()
    message = refusal(tiny(f"deployment.files=[data,{named}]"), parts(own_package))
    assert "deployment.files.1" in message
    assert sentence in message


def test_a_file_with_a_secret_of_this_process_stays_here(tiny: Load, own_package: Path) -> None:
    redactor().register("made-up-value-5678")
    (own_package / "theirs/upper.py").write_text("KEY = 'made-up-value-5678'")
    message = refusal(tiny(), parts(own_package, "theirs/upper.py"))
    assert "holds a secret" in message
    assert "made-up-value-5678" not in message


def test_every_problem_is_told_at_once(tiny: Load, own_package: Path) -> None:
    message = refusal(tiny("deployment.files=[.env,nowhere,/etc/passwd]"), parts(own_package))
    assert message.startswith("3 problems")


def test_a_link_among_the_policys_own_files_is_refused(tiny: Load, own_package: Path) -> None:
    (own_package / "weights.pt").symlink_to("data/a.txt")
    assert "policy: " in refusal(tiny(), parts(own_package, "weights.pt"))


@pytest.mark.parametrize("name", ["a/b", "../x", "a b", ".hidden", "", "x" * 101])
def test_a_name_with_a_path_in_it_is_refused_before_anything_starts(name: str, tiny: Load) -> None:
    with pytest.raises(DAFConfigError, match=r"deployment\.name"):
        tiny(f"deployment.name='{name}'")


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0+build", "1.0.0/x"])
def test_a_version_is_a_semantic_one(version: str, tiny: Load) -> None:
    with pytest.raises(DAFConfigError, match=r"deployment\.version"):
        tiny(f"deployment.version='{version}'")

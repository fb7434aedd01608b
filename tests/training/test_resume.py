"""What `training.resume` accepts, and what goes on from there."""

import shutil
import signal
from pathlib import Path

import pytest
import torch

from daf.bridge.training import OWNER, load_state
from daf.errors import DAFConfigError, DAFInterruptedError
from daf.run import daf_run
from daf.tracking.output_folder import RECORD
from daf.tracking.tracker import Tracker
from daf.training.resume import resume_problems
from daf.training.task import TrainingResult, daf_train
from tests.bridge.training.support import Load, train_config
from tests.training.support import after_second_epoch, only_run


def test_an_interrupt_keeps_everything_and_a_run_id_resumes_it(
    tiny: Load, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_second_epoch(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(DAFInterruptedError, match=r"after 512 agent steps.*training.resume="):
        daf_run(tiny("training.num_steps=1024"))
    monkeypatch.undo()
    client, run = only_run(store)
    assert run.info.status == "KILLED"  # type: ignore[attr-defined]
    run_id = run.info.run_id  # type: ignore[attr-defined]
    assert client.list_artifacts(run_id, "checkpoints")
    # The folder is gone, as on another machine: the checkpoint comes from MLflow.
    (tmp_path / "out" / "checkpoints").rename(tmp_path / "moved")
    result = daf_run(tiny("training.num_steps=1024", f"training.resume={run_id}", f"output_dir={tmp_path / 'second'}"))
    assert isinstance(result, TrainingResult)
    assert [step for step, _ in result.curve][-1] == 1024
    assert (tmp_path / "second" / "resumed" / "checkpoints" / "trainer_state.pt").is_file()
    assert load_state(result.checkpoint_dir)["update"] == 4
    (second,) = client.search_runs([run.info.experiment_id], f"tags.`daf.resumed_from` = '{run_id}'")  # type: ignore[attr-defined]
    assert (second.info.status, second.data.tags["daf.resumed_at_step"]) == ("FINISHED", "512")


def test_resuming_from_what_is_not_there(tiny: Load, tracker: Tracker, tmp_path: Path) -> None:
    with pytest.raises(DAFConfigError, match="has no run"):
        daf_run(tiny(f"training.resume={'0' * 32}", f"output_dir={tmp_path / 'new'}"))
    assert not (tmp_path / "new").exists()
    with pytest.raises(DAFConfigError, match="holds no trainer_state"):
        daf_run(tiny("training.resume=/nowhere"))
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_a_crashed_run_is_resumed_by_its_id(
    tiny: Load, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash() -> None:
        raise ValueError("no luck")

    after_second_epoch(monkeypatch, crash)
    with pytest.raises(ValueError, match="no luck"):
        daf_run(tiny("training.num_steps=768", "training.checkpoint_interval=1"))
    monkeypatch.undo()
    _, run = only_run(store)
    run_id = run.info.run_id  # type: ignore[attr-defined]
    resume = ("training.num_steps=768", f"training.resume={run_id}", f"output_dir={tmp_path / 'second'}")
    result = daf_run(tiny(*resume))
    assert isinstance(result, TrainingResult)
    assert [step for step, _ in result.curve] == [768]
    # Another training took its place, and MLflow has none of a run that crashed.
    (tmp_path / "out" / RECORD).unlink()
    daf_run(tiny("training.num_steps=256", "seed=2"))
    with pytest.raises(DAFConfigError, match=rf"resume: run {run_id} left no checkpoint .* holds one of run \w+\) nor"):
        daf_run(tiny(*resume, f"output_dir={tmp_path / 'third'}"))
    assert not (tmp_path / "third").exists()


def test_a_checkpoint_that_does_not_say_whose_it_is(tiny: Load, tmp_path: Path, store: str, tracker: Tracker) -> None:
    """As CoGames writes them, and DAF did: by the digest that the run logged, or not by the run's id."""
    result = daf_train(tiny("training.num_steps=256"), tracker)
    state = torch.load(result.checkpoint_dir / "trainer_state.pt", weights_only=True)
    assert state.pop(OWNER) == tracker.run_id
    torch.save(state, result.checkpoint_dir / "trainer_state.pt")
    tracker.close("FINISHED")
    asked = tiny("training.num_steps=512", f"training.resume={tracker.run_id}")
    assert resume_problems(asked) == []
    tracker.client.delete_tag(tracker.run_id, "daf.checkpoint_sha256")
    shutil.rmtree(tmp_path / "artifacts")
    (problem,) = resume_problems(asked)
    assert "holds one that does not say whose it is" in problem.what
    assert problem.hint == "A checkpoint folder is resumed by its path, whosesoever it is."
    assert resume_problems(tiny("training.num_steps=512", f"training.resume={result.checkpoint_dir}")) == []


def test_weights_that_another_training_wrote_over_are_not_gone_on_from(tiny: Load, trained: Path) -> None:
    model = trained / load_state(trained)["model_name"]
    weights = torch.load(model, weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in weights.items()}, model)
    (problem,) = resume_problems(tiny("training.num_steps=512", f"training.resume={trained}"))
    assert "another one wrote over it" in problem.what


def test_a_run_is_resumed_from_its_own_checkpoint_whoever_wrote_over_it(tiny: Load, tmp_path: Path, store: str) -> None:
    daf_run(tiny("training.num_steps=256", "seed=1"))
    _, first = only_run(store)
    own = load_state(tmp_path / "out" / "checkpoints")
    (tmp_path / "out" / RECORD).unlink()
    daf_run(tiny("training.num_steps=512", "seed=2"))
    run_id = first.info.run_id  # type: ignore[attr-defined]
    resume = ("training.num_steps=768", f"training.resume={run_id}", f"output_dir={tmp_path / 'second'}")
    daf_run(tiny(*resume))
    fetched = load_state(tmp_path / "second" / "resumed" / "checkpoints")
    assert fetched["global_step"] == own["global_step"] == 256


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x00" * 64, b"cos\nsystem\n(S'touch ran'\ntR."])
def test_a_damaged_state_is_told_and_nothing_in_it_runs(
    tiny: Load, tracker: Tracker, trained: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    (trained / "trainer_state.pt").write_bytes(content)
    with pytest.raises(DAFConfigError, match=r"training\.resume: .*trainer_state\.pt cannot be read"):
        daf_train(tiny(f"training.resume={trained}", "training.num_steps=1024"), tracker)
    assert not (trained / "ran").exists()


@pytest.fixture
def trained(tiny: Load, tmp_path: Path) -> Path:
    """A checkpoint folder of 64 asked and 256 played agent steps."""
    return train_config(tiny("training.num_steps=64"), tmp_path / "first" / "checkpoints").checkpoint_dir


def test_resuming_what_is_done(tiny: Load, tracker: Tracker, trained: Path) -> None:
    with pytest.raises(DAFConfigError, match=r"training.num_steps: .* holds 256. Give more than 256."):
        daf_train(tiny(f"training.resume={trained}", "training.num_steps=256"), tracker)


def test_resuming_another_policy(tiny: Load, tracker: Tracker, trained: Path) -> None:
    with pytest.raises(DAFConfigError, match=r"training.resume: .* holds a .*LSTMPolicy, not a .*StatelessPolicy"):
        daf_train(tiny(f"training.resume={trained}", "policy=stateless"), tracker)


def test_resuming_a_checkpoint_of_cogames_own(tiny: Load, tracker: Tracker, trained: Path) -> None:
    state = load_state(trained)
    del state["scheduler_state_dict"], state["torch_rng_state"]
    torch.save(state, trained / "trainer_state.pt")
    with pytest.raises(DAFConfigError, match=rf"lacks scheduler_state_dict, torch.*policy.weights={trained}"):
        daf_train(tiny(f"training.resume={trained}"), tracker)


def test_another_learning_rate_than_the_schedules_is_said_to_be_unused(
    tiny: Load, tracker: Tracker, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(tracker, "warn", warnings.append)
    resume = ("training.num_steps=512", f"training.resume={trained}")
    daf_train(tiny(*resume), tracker)
    assert warnings == []
    daf_train(tiny(*resume, "optimizer.lr=0.5"), tracker)
    assert warnings == [
        "The resumed schedule goes on from its own learning rate 0.00092; optimizer.lr=0.5 is not used."
    ]

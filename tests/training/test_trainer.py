"""Training end to end on pictures a person can name: it learns, resumes exactly, or refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.training import TrainConfig, load_model, train
from cnnrnn.training.checkpoint import read_checkpoint, save_checkpoint
from cnnrnn.training.forward import Normalise
from cnnrnn.training.greedy import greedy_captions
from cnnrnn.training.trainer import Trainer
from tests.training.runs import same, with_training


def test_learns_to_name_what_it_sees(config: TrainConfig, shapes: Path) -> None:
    config = with_training(
        config, epochs=10, batch_size=8, evaluate_every=10, learning_rate=0.02, encoder_learning_rate=0
    )
    model = replace(
        config.model, encoder="efficientnet_lite0", pretrained=True, attention="none", dropout=0.0, hidden=128
    )
    result = train(replace(config, model=model, data=replace(config.data, train=(str(shapes),) * 8)))
    assert result.metrics["validation_exact_match"] == 1.0
    loaded = load_model(result.best)
    from cnnrnn.runtime.image import fit, read_image

    picture = torch.from_numpy(fit(read_image(shapes / "red-disc.png"), loaded.image)).permute(2, 0, 1)[None]
    pixels = Normalise(loaded.image, torch.device("cpu"))(picture)
    assert greedy_captions(loaded.model, loaded.model.memory(pixels), loaded.tokenizer, 6) == ["a red disc"]


def test_writes_metrics_and_curve(config: TrainConfig) -> None:
    result = train(config)
    output = Path(config.output)
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    expected = {"train_loss", "validation_loss", "validation_exact_match", "learning_rate", "seconds"}
    assert expected <= records[0].keys()
    assert records[1]["validation_loss"] == result.metrics["validation_loss"]
    assert (output / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_same_seed_same_weights(config: TrainConfig, tmp_path: Path) -> None:
    one = train(config)
    other = train(replace(config, output=str(tmp_path / "other")))
    third = train(replace(config, output=str(tmp_path / "third"), seed=4))
    assert same(one.last, other.last)
    assert not same(one.last, third.last)


def test_resumes_in_the_middle_of_an_epoch_exactly(tiny: TrainConfig, tmp_path: Path) -> None:
    whole = train(tiny)
    broken = replace(tiny, output=str(tmp_path / "broken"))
    trainer = Trainer(with_training(broken, checkpoint_minutes=0))
    steps, step = [], trainer._step

    def stop_at_seven(*arguments: Any) -> None:
        if len(steps) == 6:
            raise KeyboardInterrupt
        steps.append(arguments)
        step(*arguments)

    trainer._step = stop_at_seven  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    saved = read_checkpoint(Path(broken.output) / "last.pt")
    assert (saved["progress"]["epoch"], saved["progress"]["batch"]) == (1, 2)
    resumed = train(with_training(broken, checkpoint_minutes=0), resume=True)
    assert same(whole.last, resumed.last)


def test_resumes_a_run_of_before_a_key_was_there(tiny: TrainConfig) -> None:
    one = with_training(tiny, epochs=1)
    trainer = Trainer(one)
    trainer.run()
    saved = read_checkpoint(trainer.last)
    del saved["config"]["data"]["images"]
    save_checkpoint(saved, trainer.last)
    assert train(one, resume=True).epochs == 1
    saved["config"]["data"]["of_tomorrow"] = 1
    save_checkpoint(saved, trainer.last)
    with pytest.raises(ConfigError, match="was made by another configuration"):
        train(one, resume=True)


def test_resumes_after_a_kill(config: TrainConfig, tmp_path: Path) -> None:
    config = with_training(config, epochs=3)
    whole = train(config)
    killed = replace(with_training(config, checkpoint_minutes=0), output=str(tmp_path / "killed"))
    (tmp_path / "config.json").write_text(json.dumps(killed.to_dict()))
    program = (
        "import json, sys; from cnnrnn.training import TrainConfig, train; "
        "train(TrainConfig.from_dict(json.load(open(sys.argv[1]))))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "config.json")])
    last = Path(killed.output) / "last.pt"
    deadline = time.monotonic() + 120
    while not last.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
    assert read_checkpoint(last)["progress"]["epoch"] < killed.training.epochs, "the run was finished"
    resumed = train(TrainConfig.from_dict(killed.to_dict()), resume=True)
    assert same(whole.last, resumed.last)


def test_frozen_encoder_keeps_its_weights(config: TrainConfig) -> None:
    trainer = Trainer(with_training(config, encoder_learning_rate=0, epochs=1))
    before = {name: value.clone() for name, value in trainer.model.encoder.state_dict().items()}
    trainer.run()
    after = trainer.model.encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_position_encoder_learns_where_the_trunk_is_frozen(tiny: TrainConfig) -> None:
    model = replace(tiny.model, position_encoder="gru", position_hidden=8, feature_norm=True)
    trainer = Trainer(with_training(replace(tiny, model=model), encoder_learning_rate=0))
    groups = trainer.stage.optimization.optimizer.param_groups
    learning = {id(value) for group in groups for value in group["params"]}
    left = {name for name, value in trainer.model.named_parameters() if id(value) not in learning}
    assert left == {f"encoder.trunk.{name}" for name, _ in trainer.model.encoder.trunk.named_parameters()}


def test_stops_early(tiny: TrainConfig) -> None:
    tiny = with_training(tiny, epochs=50, patience=2, learning_rate=0, encoder_learning_rate=0)
    assert train(tiny).epochs == 3


def test_mixed_precision_in_bf16_learns(tiny: TrainConfig) -> None:
    tiny = with_training(tiny, mixed_precision="bf16", epochs=4)
    trainer = Trainer(tiny)
    trainer.run()
    records = [json.loads(line) for line in (Path(tiny.output) / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["train_loss"] < records[0]["train_loss"]


def test_an_output_in_use_is_not_overwritten(tiny: TrainConfig) -> None:
    train(with_training(tiny, epochs=1))
    with pytest.raises(ConfigError, match=r"last\.pt exists; go on with --resume"):
        train(tiny)
    with pytest.raises(ConfigError, match="was made by another configuration"):
        train(with_training(tiny, epochs=9), resume=True)


def test_the_configurations_own_mistakes_come_first(config: TrainConfig, tmp_path: Path) -> None:
    Path(config.output).mkdir()
    (Path(config.output) / "last.pt").touch()
    model, data = (
        replace(config.model, encoder="resnt50"),
        replace(config.data, train=(str(tmp_path / "no"),)),
    )
    for resume in (False, True):
        with pytest.raises(DataError, match="does not exist"):
            train(replace(config, data=data), resume=resume)
    with pytest.raises(ConfigError, match="encoder = 'resnt50'"):
        train(replace(config, model=model))
    train(replace(with_training(config, epochs=1), output=str(tmp_path / "other")))
    with pytest.raises(ConfigError, match="encoder = 'resnt50'"):
        train(replace(config, model=model, output=str(tmp_path / "other")), resume=True)


@pytest.mark.parametrize("features", ["grid", "pooled"])
def test_a_size_that_the_encoder_cannot_take_is_refused_before_any_work(
    features: str, config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    model = replace(config.model, encoder="alexnet", features=features, attention="none")
    config = replace(config, model=model, image=replace(config.image, height=40, width=56))
    with pytest.raises(ConfigError, match=r"'alexnet' cannot take pictures of 40 × 56 pixels: .* to 224"):
        train(config)
    assert capsys.readouterr().err == ""
    assert not Path(config.output).exists()


def test_there_has_to_be_something_to_go_on_from(config: TrainConfig) -> None:
    with pytest.raises(
        ConfigError, match=r"there is no .*last\.pt to go on from; start the run without --resume"
    ):
        train(config, resume=True)
    assert not Path(config.output).exists()


@pytest.mark.parametrize("patience", [0, 1])
def test_a_finished_run_says_so(patience: int, tiny: TrainConfig, caplog: pytest.LogCaptureFixture) -> None:
    tiny = with_training(tiny, epochs=3, patience=patience, learning_rate=0, encoder_learning_rate=0)
    first = train(tiny)
    before = first.last.read_bytes()
    with caplog.at_level("INFO", "cnnrnn"):
        again = train(tiny, resume=True)
    assert again == first
    assert first.last.read_bytes() == before
    assert f"this run is finished: {3 - patience} of 3 epochs are done" in caplog.text
    assert str(first.last) in caplog.text


def test_fp16_needs_cuda(config: TrainConfig) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigError, match="mixed_precision = 'fp16' needs CUDA"):
        Trainer(with_training(config, mixed_precision="fp16"))

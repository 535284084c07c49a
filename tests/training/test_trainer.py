"""Training end to end on pictures a person can name: it learns, resumes exactly, or refuses."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cnnrnn.core.errors import ConfigError, DataError, TrainingError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.training import TrainConfig, load_model, train
from cnnrnn.training.checkpoint import read_checkpoint, save_checkpoint
from cnnrnn.training.greedy import greedy_captions
from cnnrnn.training.trainer import Normalise, Trainer


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(read_checkpoint(path)["model"])


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def with_training(config: TrainConfig, **changes: object) -> TrainConfig:
    return replace(config, training=replace(config.training, **changes))  # type: ignore[arg-type]


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
    assert greedy_captions(loaded.model, pixels, loaded.tokenizer, 6) == ["a red disc"]


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


def test_resumes_in_the_middle_of_an_epoch_exactly(config: TrainConfig, tmp_path: Path) -> None:
    whole = train(config)
    broken = replace(config, output=str(tmp_path / "broken"))
    trainer = Trainer(with_training(broken, checkpoint_minutes=0))
    steps, step = [], trainer._step

    def stop_at_seven(batch: object) -> float:
        if len(steps) == 6:
            raise KeyboardInterrupt
        steps.append(batch)
        return step(batch)  # type: ignore[arg-type]

    trainer._step = stop_at_seven  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    saved = read_checkpoint(Path(broken.output) / "last.pt")
    assert (saved["progress"]["epoch"], saved["progress"]["batch"]) == (1, 2)
    resumed = train(with_training(broken, checkpoint_minutes=0), resume=True)
    assert same(whole.last, resumed.last)


def test_resumes_a_run_of_before_a_key_was_there(config: TrainConfig) -> None:
    one = with_training(config, epochs=1)
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
    config = with_training(config, epochs=6)
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


def test_a_position_encoder_learns_where_the_trunk_is_frozen(config: TrainConfig) -> None:
    model = replace(config.model, position_encoder="gru", position_hidden=8, feature_norm=True)
    trainer = Trainer(with_training(replace(config, model=model), encoder_learning_rate=0))
    learning = {id(value) for group in trainer.optimizer.param_groups for value in group["params"]}
    left = {name for name, value in trainer.model.named_parameters() if id(value) not in learning}
    assert left == {f"encoder.trunk.{name}" for name, _ in trainer.model.encoder.trunk.named_parameters()}


def test_stops_early(config: TrainConfig) -> None:
    config = with_training(config, epochs=50, patience=2, learning_rate=0, encoder_learning_rate=0)
    assert train(config).epochs == 3


def test_schedule_reaches_its_peak_and_ends_low(config: TrainConfig) -> None:
    trainer = Trainer(with_training(config, epochs=5))
    rates = []
    for _ in range(5 * trainer.batches):
        rates.append(trainer.optimizer.param_groups[-1]["lr"])
        trainer.optimizer.step()
        trainer.schedule.step()
    assert max(rates) == pytest.approx(5e-3, rel=1e-2)
    assert rates[-1] < rates[0] < max(rates) / 10


def test_mixed_precision_in_bf16_learns(config: TrainConfig) -> None:
    config = with_training(config, mixed_precision="bf16", epochs=4)
    trainer = Trainer(config)
    trainer.run()
    records = [json.loads(line) for line in (Path(config.output) / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["train_loss"] < records[0]["train_loss"]


def test_label_smoothing_and_clipping_are_applied(config: TrainConfig) -> None:
    trainer = Trainer(with_training(config, label_smoothing=0.2, clip_norm=1e-3))
    batch = next(iter(trainer._loader(trainer.training_set, 0)))
    trainer.model.eval()
    logits = trainer.model(trainer.normalise(batch.images), batch.inputs)
    log_probabilities = logits.log_softmax(-1)
    kept = batch.targets >= 0
    hit = log_probabilities.gather(-1, batch.targets.clamp_min(0)[..., None])[..., 0]
    expected = -(0.8 * hit + 0.2 * log_probabilities.mean(-1))[kept].mean()
    torch.testing.assert_close(trainer._loss(batch, 0.2), expected)
    trainer._step(batch)
    norms = [p.grad.norm() ** 2 for p in trainer.model.parameters() if p.grad is not None]
    assert math.sqrt(sum(norms)) <= 1.001e-3


def test_validation_split_is_by_picture(config: TrainConfig) -> None:
    config = replace(config, data=replace(config.data, validation=(), validation_share=0.25))
    trainer = Trainer(config)
    assert trainer.validation_set is not None
    held_out = {sample.image for sample in trainer.validation_set.samples}
    assert len(held_out) == 2
    assert not held_out & {sample.image for sample in trainer.training_set.samples}


def test_a_loss_that_is_no_number_stops_with_the_last_good_checkpoint(config: TrainConfig) -> None:
    trainer = Trainer(with_training(config, epochs=2))
    trainer._save(trainer.last)
    good = trainer.last.read_bytes()
    with torch.no_grad():
        trainer.model.decoder.output.bias[0] = math.nan
    with pytest.raises(TrainingError, match="the loss is nan at epoch 1, batch 1 of 4"):
        trainer.run()
    assert trainer.last.read_bytes() == good


def test_an_output_in_use_is_not_overwritten(config: TrainConfig) -> None:
    train(with_training(config, epochs=1))
    with pytest.raises(ConfigError, match=r"last\.pt exists; go on with --resume"):
        train(config)
    with pytest.raises(ConfigError, match="was made by another configuration"):
        train(with_training(config, epochs=9), resume=True)


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
def test_a_finished_run_says_so(patience: int, config: TrainConfig, caplog: pytest.LogCaptureFixture) -> None:
    config = with_training(config, epochs=3, patience=patience, learning_rate=0, encoder_learning_rate=0)
    first = train(config)
    before = first.last.read_bytes()
    with caplog.at_level("INFO", "cnnrnn"):
        again = train(config, resume=True)
    assert again == first
    assert first.last.read_bytes() == before
    assert f"this run is finished: {3 - patience} of 3 epochs are done" in caplog.text
    assert str(first.last) in caplog.text


def test_fp16_needs_cuda(config: TrainConfig) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigError, match="mixed_precision = 'fp16' needs CUDA"):
        Trainer(with_training(config, mixed_precision="fp16"))


def test_workers_change_nothing(config: TrainConfig, tmp_path: Path) -> None:
    config = with_training(config, epochs=1)
    alone = train(config)
    helped = replace(config, output=str(tmp_path / "helped"), data=replace(config.data, workers=1))
    assert same(alone.last, train(helped).last)


def test_normalise_is_the_encoder_graphs() -> None:
    image = ImageSpec(2, 2, (0.5, 0.4, 0.3), (0.2, 0.25, 0.5))
    pixels = torch.randint(0, 256, (1, 3, 2, 2), dtype=torch.uint8)
    expected = (pixels / 255 - torch.tensor(image.mean).view(3, 1, 1)) / torch.tensor(image.std).view(3, 1, 1)
    torch.testing.assert_close(Normalise(image, torch.device("cpu"))(pixels), expected)

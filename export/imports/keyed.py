"""Layout ``keys``: any state dict, and a TOML file that says which of its tensors is which of a model's.

The model is one of ours (``[model]``, the options of `cnnrnn.models.ModelConfig`) or the plain captioner of
`cnnrnn.export.wrap_rnn` (``[rnn]``, `cnnrnn.export.imports.plain.PlainConfig`). ``[keys]`` has the rules,
``ignore`` patterns of what the file has beside them.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from cnnrnn.core.errors import CheckpointError, ConfigError, OptionsError
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.tokenizer import END, PAD, START, UNKNOWN, Tokenizer
from cnnrnn.export.imports.checkpoint_file import read_tensors
from cnnrnn.export.imports.fitting import Misfits, Source, other_cell
from cnnrnn.export.imports.imported import IMAGENET_MEAN, IMAGENET_STD, Imported, ImportOptions
from cnnrnn.export.imports.key_rules import Rule, ShapeError, rules_of
from cnnrnn.export.imports.plain import PlainConfig, PlainNetwork
from cnnrnn.export.imports.resnet import COUNTERS
from cnnrnn.export.imports.vocabulary import Vocabulary, read_json, words_by_id
from cnnrnn.models.captioner import Captioner
from cnnrnn.models.config import ModelConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

IMAGE = ImageSpec(224, 224, IMAGENET_MEAN, IMAGENET_STD, "stretch")
SPECIAL = {"start": START, "end": END, "pad": PAD, "unknown": UNKNOWN}

T = TypeVar("T")


@dataclass(frozen=True)
class KeyMap:
    """A key map, read and checked.

    Attributes:
        config: of the model.
        rules: in their order.
        ignored: patterns of names in the file that may be left over.
        special: ``start``, ``end``, ``pad``, ``unknown``: how the vocabulary spells these tokens.
        image, search: what the bundle says.
    """

    config: ModelConfig | PlainConfig
    rules: list[Rule]
    ignored: list[re.Pattern[str]]
    special: dict[str, str]
    image: ImageSpec
    search: SearchDefaults

    @staticmethod
    def read(path: Path) -> KeyMap:
        """Read a TOML file.

        Raises:
            OptionsError: there is no such file.
            ConfigError: naming the file, the key, and what may stand there.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise OptionsError(f"there is no file {path}; give the key map of the checkpoint") from error
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} is not TOML: {error}") from error
        try:
            return _key_map(content)
        except (ConfigError, TypeError) as error:
            raise ConfigError(f"{path}: {error}") from error

    def network(self, vocabulary: int) -> nn.Module:
        """The model that the tensors are for, with other weights still."""
        if isinstance(self.config, ModelConfig):
            return Captioner(self.config, vocabulary, load_pretrained=False)
        return PlainNetwork(self.config, vocabulary)

    @property
    def embedding(self) -> str:
        """The name of the words' embedding."""
        return ("decoder." if isinstance(self.config, ModelConfig) else "") + "embedding.weight"


def load(checkpoint: Path, options: ImportOptions) -> Imported:
    """Read a state dict by a key map.

    Args:
        options: ``keys`` is the key map, ``vocabulary`` the words as JSON (a list, or word and id either way
            round), as text (a word a line), or a ``tokenizer.json``.

    Raises:
        OptionsError: a file does not exist.
        ConfigError: the key map is wrong.
        CheckpointError: a file cannot be read, or they do not fit each other.
    """
    assert options.keys is not None, "the layout needs it"
    assert options.vocabulary is not None, "the layout needs it"
    keys = KeyMap.read(options.keys)
    vocabulary, tokenizer = _words(options.vocabulary, keys.special)
    given = read_tensors(checkpoint)
    network = keys.network(vocabulary.rows)
    _check_rules(keys, network)
    tensors = _mapped(keys, network, given, vocabulary, str(checkpoint))
    network.load_state_dict(tensors)
    network.eval()
    image = options.image(keys.image)
    grid = None
    if isinstance(network, Captioner):
        if network.config.attention != "none":
            grid = network.encoder.grid(image.height, image.width)
        model: Any = _extended(network, vocabulary)
    else:
        assert isinstance(network, PlainNetwork)
        model = network.wrapped(vocabulary)
    sizes = dataclasses.asdict(keys.config)
    return Imported(model, tokenizer, image, keys.search, grid, {"keys": options.keys.name, "model": sizes})


def _mapped(
    keys: KeyMap, network: nn.Module, given: dict[str, Tensor], vocabulary: Vocabulary, where: str
) -> dict[str, Tensor]:
    """A state dict of the network; every tensor that is missing, misshapen or left over is named."""
    _check_words(keys, given, vocabulary, where)
    misfits, found, used = Misfits(), dict[str, Tensor](), set[str]()
    for name, own in network.state_dict().items():
        rule, sources = _rule(keys.rules, name)
        used.update(sources)
        absent = [source for source in sources if source not in given]
        shape = tuple(own.shape)
        if absent and name.endswith(COUNTERS):
            found[name] = own
        elif absent:
            misfits.missing.append(f"{name} {shape}, which is made of {', '.join(absent)}")
        else:
            try:
                found[name] = rule.make([given[source] for source in sources], shape)
            except ShapeError as error:
                said = f"{name}, of {', '.join(sources)}, has to be {shape}: {error}"
                misfits.misshapen.append(said + other_cell(given[sources[0]], shape[0] if shape else 0))
    misfits.unused += [
        f"{name} {tuple(tensor.shape)}"
        for name, tensor in given.items()
        if name not in used and not any(pattern.fullmatch(name) for pattern in keys.ignored)
    ]
    advice = "Correct [model] or [rnn] and [keys], or name what is not needed in ignore."
    misfits.raise_all(Source(where, advice))
    return found


def _check_rules(keys: KeyMap, network: nn.Module) -> None:
    names = list(network.state_dict())
    for rule in keys.rules:
        if not any(rule.pattern.fullmatch(name) for name in names):
            raise ConfigError(
                f"[keys] {rule.pattern.pattern!r} fits no tensor of the model; its first are "
                f"{', '.join(names[:3])}: correct the rule or leave it out"
            )


def _check_words(keys: KeyMap, given: dict[str, Tensor], vocabulary: Vocabulary, where: str) -> None:
    """Say that the vocabulary is another one before every tensor that has V rows is named for it."""
    _, sources = _rule(keys.rules, keys.embedding)
    if len(sources) == 1 and sources[0] in given and given[sources[0]].dim() == 2:
        vocabulary.check_rows(given[sources[0]].shape[0], sources[0], where)


def _rule(rules: list[Rule], name: str) -> tuple[Rule, list[str]]:
    """The rule of a name of the model, and its names in the file."""
    for rule in rules:
        if matched := rule.pattern.fullmatch(name):
            return rule, rule.names(matched)
    same = Rule(re.compile(re.escape(name)), (name,))
    return same, [name]


def _extended(network: Captioner, vocabulary: Vocabulary) -> Captioner:
    decoder = network.decoder
    tied = decoder.output.weight is decoder.embedding.weight
    decoder.embedding = vocabulary.embedding(decoder.embedding.weight.detach())
    decoder.output = vocabulary.output(decoder.output.weight.detach(), decoder.output.bias.detach())
    if tied:  # a token that is added has a row that is not zeros then, and its bias is enough
        decoder.output.weight = decoder.embedding.weight
    return network


def _key_map(content: dict[str, Any]) -> KeyMap:
    known = {"model", "rnn", "keys", "ignore", "vocabulary", "image", "search"}
    if unknown := sorted(set(content) - known):
        raise ConfigError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    for name in known - {"ignore"}:
        if not isinstance(content.get(name, {}), dict):
            raise ConfigError(f"{name} = {content[name]!r} must be a section, [{name}]")
        if isinstance(content.get(name, {}).get("ignore"), list):
            raise ConfigError(f"ignore stands below [{name}]; put it above the first section of the file")
    if ("model" in content) == ("rnn" in content):
        raise ConfigError("exactly one of [model] and [rnn] says what the tensors are of")
    if "model" in content:
        config: ModelConfig | PlainConfig = ModelConfig.from_dict({**content["model"], "pretrained": False})
    else:
        config = _section(PlainConfig, "rnn", content, PlainConfig())
    if len({"height", "width"} & set(content.get("image", {}))) == 1:
        raise ConfigError("[image] has one of height and width; give both")
    special = content.get("vocabulary", {})
    if wrong := sorted(set(special) - set(SPECIAL)):
        raise ConfigError(f"vocabulary {wrong[0]!r} is none of {', '.join(SPECIAL)}")
    return KeyMap(
        config,
        rules_of(content.get("keys", {}), config.cell),
        _patterns(content.get("ignore", [])),
        {name: str(special.get(name, token)) for name, token in SPECIAL.items()},
        _section(ImageSpec, "image", content, IMAGE),
        _section(SearchDefaults, "search", content, SearchDefaults()),
    )


def _patterns(given: Any) -> list[re.Pattern[str]]:
    if not isinstance(given, list) or not all(isinstance(entry, str) for entry in given):
        raise ConfigError(f"ignore = {given!r} must be a list of patterns of names")
    try:
        return [re.compile(entry) for entry in given]
    except re.error as error:
        raise ConfigError(f"ignore has no regular expression: {error}") from error


def _section(kind: type[T], name: str, content: dict[str, Any], default: T) -> T:
    given = content.get(name, {})
    known = [entry.name for entry in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(set(given) - set(known)):
        raise ConfigError(f"{name} {unknown[0]!r} is none of {', '.join(known)}")
    lists = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return dataclasses.replace(default, **lists)  # type: ignore[type-var]


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise OptionsError(f"there is no file {path}; give the vocabulary, a word a line")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path} as text in UTF-8: {error}") from error


def _words(path: Path, special: dict[str, str]) -> tuple[Vocabulary, Tokenizer]:
    where = str(path)
    if path.suffix == ".txt":
        words = _lines(path)
    else:
        content = read_json(path, "the vocabulary")
        if isinstance(content, dict) and isinstance(content.get("model"), dict):
            tokenizer = Tokenizer.from_json(path.read_bytes())
            pieces = tuple(tokenizer.tokens(range(tokenizer.size)))
            return Vocabulary(pieces, tokenizer.size, (), where), tokenizer
        words = words_by_id(content, where)
    ids = {token: words.index(special[name]) for name, token in SPECIAL.items() if special[name] in words}
    for name in ("start", "end"):
        if SPECIAL[name] not in ids:
            raise ConfigError(
                f"{where} has no word {special[name]!r}; [vocabulary] {name} says how it spells that token"
            )
    vocabulary = Vocabulary.of(words, ids, where)
    return vocabulary, vocabulary.tokenizer()

"""The commands that train and judge: a LightningCLI with layered plain YAML."""

import argparse
import difflib
import importlib
import inspect
import itertools
import logging
import pickle
import re
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from jsonargparse import set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.errors import InputError
from metarec.files import read_yaml, write_text
from metarec.module import MetaModule
from metarec.run_folder import RunFolder
from metarec.tracking import wandb_loggers


class Parser(LightningArgumentParser):
    """Says what is wrong in one line, with the nearest right name, and exits with status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one line and exit with status 2."""
        text = re.sub(r"\s+", " ", message).strip()
        wrong = re.search(r"(?:[Oo]ption|attribute) '([\w.]+)'|--([\w.]+)", text)
        names = _options(self) + _arguments_named_in(text)
        near = _nearest(wrong.group(1) or wrong.group(2), names) if wrong else []
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        print(f"metarec: error: {text}{hint}", file=sys.stderr)
        sys.exit(2)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Names of the options of a parser and of its commands."""
    names = [action.dest for action in parser._actions]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            names += [name for command in action.choices.values() for name in _options(command)]
    return list(dict.fromkeys(names))


def _nearest(wrong: str, names: list[str]) -> list[str]:
    """Names whose last part is near the last part of the wrong one, the best two."""
    last = {name.rsplit(".", 1)[-1]: name for name in reversed(names)}
    found = difflib.get_close_matches(wrong.rsplit(".", 1)[-1], list(last), n=2, cutoff=0.7)
    whole = difflib.get_close_matches(wrong, names, n=1, cutoff=0.8)
    return list(dict.fromkeys([*whole, *(last[name] for name in found)]))[:2]


def _arguments_named_in(message: str) -> list[str]:
    """Arguments of the class or function that an error message names, and names beside a mistyped one."""
    found = re.search(r"class_path[= ]'([\w.]+)\.(\w+)'", message)
    if not found:
        return []
    try:
        module: Any = importlib.import_module(found.group(1))
    except ImportError:
        return []
    target = getattr(module, found.group(2), None)
    if target is None:
        return [name for name in vars(module) if not name.startswith("_")]
    return list(inspect.signature(target).parameters)


class SaveConfig(SaveConfigCallback):
    """Writes the whole configuration to ``config.yaml`` in the run folder, for any command, and to W&B.

    The configuration of a fit stays when its weights are judged later in the same folder.
    """

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the configuration; called once, on the first process."""
        config = yaml.safe_load(self.parser.dump(self.config, skip_unset=False))
        config = {name: config[name] for name in ("seed_everything", "trainer", "model", "data", "ckpt_path")}
        path = Path(trainer.default_root_dir) / "config.yaml"
        if stage == "fit" or not path.exists():
            write_text(path, yaml.safe_dump(config, sort_keys=False))
        for logger in wandb_loggers(trainer):
            logger.experiment.config.update(config, allow_val_change=True)


class MetarecCLI(LightningCLI):
    """LightningCLI with metarec's links between data, model and seed."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Tell the net what it must know of the data; draw episodes by the model seed."""
        parser.link_arguments("data.schema", "model.schema", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        parser.add_argument(
            "--then_test",
            type=bool,
            default=False,
            help="after fit, test the best checkpoint, in the same run",
        )

    def before_instantiate_classes(self) -> None:
        """Check the weights; keep the loggers' files in the run folder."""
        config = self.config[self.subcommand]
        _check_checkpoint(config.ckpt_path)
        loggers = config.trainer.logger if isinstance(config.trainer.logger, list) else [config.trainer.logger]
        for logger in loggers:
            arguments = getattr(logger, "init_args", None)
            if arguments is not None and "save_dir" in arguments and arguments.save_dir in (None, "."):
                arguments.save_dir = config.trainer.default_root_dir or "."
                Path(arguments.save_dir).mkdir(parents=True, exist_ok=True)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add what every run has: its folder, and a progress bar unless told otherwise."""
        config = self._get(self.config_init, "trainer")
        callbacks = [*(config["callbacks"] or []), RunFolder()]
        if config["enable_progress_bar"] is not False:
            callbacks.append(RichProgressBar(leave=False))
        try:
            return super().instantiate_trainer(callbacks=callbacks, **kwargs)
        except ValueError as error:
            raise InputError(f"trainer: {' '.join(str(error).split())}") from error

    def after_fit(self) -> None:
        """Test the best checkpoint, if asked."""
        if self._get(self.config, "then_test"):
            best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best or None, verbose=False)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments given, whatever the process itself was called with."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """The configuration is what the files and options say; nothing in a checkpoint changes it."""


def _layers(arguments: list[str]) -> list[Path]:
    """The configuration files that a command line names."""
    after = [value for flag, value in itertools.pairwise(arguments) if flag in ("-c", "--config")]
    joined = [value.split("=", 1)[1] for value in arguments if value.startswith(("-c=", "--config="))]
    return [Path(name) for name in after + joined]


def _check_checkpoint(path: str | None) -> None:
    """Refuse weights that are missing or cannot be loaded safely.

    Raises:
        InputError: names the file and the cure.
    """
    if path is None or str(path) in ("best", "last"):
        return
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give a .ckpt file") from error
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: no checkpoint that can be loaded safely; give a .ckpt file of metarec") from error
    if not isinstance(content, dict) or "metarec" not in content:
        raise InputError(f"{path}: no checkpoint of metarec; give checkpoints/best.ckpt of a run folder")


def _silence_noise() -> None:
    """Keep from the terminal what nobody can act on."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # not the list of absent accelerators
    for message in (
        ".*does not have many workers.*",  # drawing a batch takes a millisecond
        ".*LeafSpec.*",  # Lightning's own call of torch
        ".*loading a checkpoint outside the .fit. stage.*",  # the averaged weights are the ones to test
        ".*The dirpath has changed.*",  # borrowed weights lie in another run's folder
    ):
        warnings.filterwarnings("ignore", message=message)


def run(arguments: list[str]) -> None:
    """Run ``metarec fit|validate|test|predict`` with the given command line.

    Args:
        arguments: the command and its options.
    """
    for layer in _layers(arguments):
        read_yaml(layer, "seed_everything, trainer, model, data")  # jsonargparse would not name the file
    _silence_noise()
    try:
        run_cli(MetarecCLI, arguments)
    except MisconfigurationException as error:
        raise InputError(" ".join(str(error).split())) from error


def run_cli(kind: type[MetarecCLI], arguments: list[str]) -> MetarecCLI:
    """Let a MetarecCLI do the work, with the settings that every command has."""
    set_parsing_settings(subclasses_enabled=[Ratings])  # a configuration names the function that reads them
    return kind(
        MetaModule,
        EpisodeDataModule,
        args=arguments,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        parser_class=Parser,
        parser_kwargs={"allow_abbrev": False},
        save_config_callback=SaveConfig,
        save_config_kwargs={"save_to_log_dir": False},
        trainer_defaults={
            "inference_mode": False,  # adaptation needs gradients in validate, test and predict
            "use_distributed_sampler": False,  # the data module gives each process its own share
        },
    )

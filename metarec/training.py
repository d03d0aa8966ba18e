"""The commands that train and judge: a LightningCLI with layered plain YAML."""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml
from jsonargparse import set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from metarec import checkpoint
from metarec.allowed import require_components, taken_from
from metarec.callbacks import LearningCurve, ProgressBar
from metarec.configuration import Parser, SaveConfig, require_numbers
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.errors import InputError, LostProcessError
from metarec.layers import check_layers
from metarec.module import SAME_CONFIG, MetaModule
from metarec.processes import lost_process
from metarec.provenance import start_from
from metarec.resuming import Recorded, last_checkpoint, require_settings, settings_of
from metarec.run_folder import RunFolder
from metarec.saving import KeepLast, WholeFiles
from metarec.tracking.callback import Track
from metarec.tracking.logger import join_runs, wandb_loggers
from metarec.training_state import restoring, resumable


class MetarecCLI(LightningCLI):
    """LightningCLI with metarec's links between data, model and seed.

    Attributes:
        weights: what the checkpoint that was given holds, until there is a model for it.
        module: the LightningModule.
        data: the LightningDataModule.
        trainer_kind: the Trainer, whose methods are the commands.
    """

    weights: checkpoint.Content | None
    module: ClassVar[type[MetaModule]] = MetaModule
    data: ClassVar[type[EpisodeDataModule]] = EpisodeDataModule
    trainer_kind: ClassVar[type[Trainer]] = Trainer

    def writers(self) -> list[Callback]:
        """What writes the results to the run folder, and tells W&B."""
        return [RunFolder(), LearningCurve(), Track(self._get(self.config, "start_from"))]

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
        parser.add_argument(
            "--start_from",
            type=str | None,
            default=None,
            help="fit: begin with the weights of this .ckpt file of an earlier time, see metarec.data.periods.Period",
        )
        parser.add_argument(
            "--resume",
            type=bool,
            default=False,
            help="fit: go on from checkpoints/last.ckpt of the run folder, if it is there",
        )
        parser.add_argument(
            "--allow_changes",
            type=bool,
            default=False,
            help="fit: go on from a checkpoint with other settings than its",
        )
        parser.add_argument(
            "--save_minutes",
            type=float,
            default=10.0,
            help="fit: minutes between two saves of checkpoints/last.ckpt; a signal saves it, too",
        )

    def before_instantiate_classes(self) -> None:
        """Check the weights; make the run folder, and keep the loggers' files in it."""
        config = self.config[self.subcommand]
        folder = config.trainer.default_root_dir or "."
        if self.subcommand == "fit" and config.resume:
            config.ckpt_path = last_checkpoint(Path(folder), config.ckpt_path)
        self.weights = None
        if config.ckpt_path is not None:
            self.weights = checkpoint.read(config.ckpt_path)
            if self.subcommand == "fit":
                resumable(self.weights, config.ckpt_path)
                require_settings(config.ckpt_path, self.weights, settings_of(self._plain()), config.allow_changes)
        elif self.subcommand == "fit" and config.start_from is not None:
            checkpoint.read(config.start_from)
        _make_folder(folder)
        loggers = config.trainer.logger if isinstance(config.trainer.logger, list) else [config.trainer.logger]
        for logger in loggers:
            arguments = getattr(logger, "init_args", None)
            if arguments is not None and arguments.get("save_dir") == ".":
                arguments.save_dir = folder

    def instantiate_classes(self) -> None:
        """Make data, model and trainer; refuse weights that do not fit the model, before anything runs."""
        super().instantiate_classes()
        if self.weights is not None:
            path, own = self._get(self.config, "ckpt_path"), self.model.named_parameters()
            checkpoint.require_weights(self.weights["state_dict"], own, path, SAME_CONFIG)
            self.weights = None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add what every run has: its folder, and a progress bar unless told otherwise."""
        config = self._get(self.config_init, "trainer")
        own = config["callbacks"] or []
        callbacks = [*self.keepers(), *(own if isinstance(own, list) else [own]), *self.writers()]
        require_numbers(config)
        if config["enable_progress_bar"] is not False:
            callbacks.append(ProgressBar())
        try:
            plugins = config["plugins"] or []
            plugins = [*(plugins if isinstance(plugins, list) else [plugins]), WholeFiles()]
            trainer = super().instantiate_trainer(callbacks=callbacks, plugins=plugins, **kwargs)
        except (ValueError, TypeError) as error:  # what Lightning raises for values that it cannot use
            raise InputError(f"trainer: {' '.join(str(error).split())}") from error
        if wandb_loggers(trainer):
            config = self._plain()
            join_runs(trainer, {name: config[name] for name in ("seed_everything", "model", "data")})
        return trainer

    def keepers(self) -> list[Callback]:
        """What saves the state of a fit; before all others, so that it saves what no callback of a step has changed."""
        if self.subcommand != "fit":
            return []
        checkpoints = self._get(self.config, "trainer")["enable_checkpointing"] is not False
        minutes = self._get(self.config, "save_minutes") if checkpoints else None
        return [KeepLast(minutes), Recorded(settings_of(self._plain()))]

    def _plain(self) -> dict[str, Any]:
        """The configuration of the command as plain values."""
        found: dict[str, Any] = yaml.safe_load(self.parser.dump(self.config, skip_unset=False))[self.subcommand]
        return found

    def before_fit(self) -> None:
        """Take over the weights that training is to go on from, unless a killed run is resumed."""
        path = self._get(self.config, "start_from")
        if path and self._get(self.config, "ckpt_path") is None:
            start_from(self.model.algorithm, path, self.datamodule)
            self.model.begins_with = path

    def after_fit(self) -> None:
        """Test the best checkpoint, if asked."""
        if self._get(self.config, "then_test"):
            best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best or None, verbose=False)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the command; a state of training that cannot be taken over is one line."""
        with restoring(self.trainer):
            super()._run_subcommand(subcommand)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments given, whatever the process itself was called with."""
        self.config = parser.parse_args(args)
        require_components(self.config.as_dict())

    def _set_seed(self) -> None:
        """Seed every generator, without a line on the terminal.

        Raises:
            InputError: no seed that numpy could take; a run without one could not be repeated.
        """
        seed = self._get(self.config, "seed_everything")
        if isinstance(seed, bool) or not 0 <= seed < 2**32:
            raise InputError(f"seed_everything: {seed} is no seed; give a whole number from 0 to {2**32 - 1}")
        seed_everything(seed, workers=True, verbose=False)

    def _parse_ckpt_path(self) -> None:
        """The configuration is what the files and options say; nothing in a checkpoint changes it."""


class ParseOnly(MetarecCLI):
    """Reads the configuration, checks every name and type, and makes nothing."""

    def before_instantiate_classes(self) -> None:
        """Leave files alone."""

    def instantiate_classes(self) -> None:
        """Make nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""


def _make_folder(folder: str) -> None:
    """Make the run folder, and see that files can be written there: hours later would be too late.

    Raises:
        InputError: it cannot be made, or nothing can be written there.
    """
    made = "made"
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        made = "written to"
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise InputError(
            f"trainer.default_root_dir {folder}: cannot be {made} ({error.strerror}); name a folder that can"
        ) from error


def _silence_noise() -> None:
    """Keep from the terminal what nobody can act on."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # not the list of absent accelerators
    for message in (
        ".*does not have many workers.*",  # drawing a batch takes a millisecond
        ".*exists and is not empty.*",  # a run may be repeated in its folder
        ".*dataloader is not resumable.*",  # batches are drawn by step, so it is
        ".*callbacks used to create the checkpoint.*",  # what saves a fit is not there in a test
        ".*LeafSpec.*",  # Lightning's own call of torch
        ".*loading a checkpoint outside the .fit. stage.*",  # the averaged weights are the ones to test
        ".*configure_optimizers. returned .None.*",  # a fit of what has no parameters is refused right after
        ".*The dirpath has changed.*",  # borrowed weights lie in another run's folder
    ):
        warnings.filterwarnings("ignore", message=message)


def run(arguments: list[str], callbacks: Sequence[Callback] = (), kind: type[MetarecCLI] = MetarecCLI) -> None:
    """Run ``metarec fit|validate|test|predict`` with the given command line.

    Args:
        arguments: the command and its options.
        callbacks: callbacks beside those of the configuration.
        kind: the command line, where the command is another one.
    """
    try:
        _run_cli(kind, arguments, callbacks)
    except MisconfigurationException as error:
        raise InputError(" ".join(str(error).split())) from error
    except ValueError as error:  # what it says of an interval that no epoch has
        if not str(error).strip().startswith("`val_check_interval`"):
            raise
        raise InputError(f"trainer: {' '.join(str(error).split())}") from error
    except RuntimeError as error:  # what Lightning says of callbacks that cannot work
        if lost_process(error):
            raise LostProcessError("a process that trains with this one has ended, so this one ends too") from error
        if not str(error).startswith(("Early stopping conditioned", "Found more than one stateful callback")):
            raise
        raise InputError(f"trainer.callbacks: {' '.join(str(error).split())}") from error


def parse(arguments: list[str]) -> dict[str, Any]:
    """The configuration of a command that is not run; a wrong name or type ends the program, as it would there.

    Args:
        arguments: the command and its options.
    """
    config: dict[str, Any] = _run_cli(ParseOnly, arguments).config[arguments[0]].as_dict()
    return config


def _run_cli(kind: type[MetarecCLI], arguments: list[str], callbacks: Sequence[Callback] = ()) -> MetarecCLI:
    """Let a MetarecCLI do the work, with the settings that every command has."""
    arguments = taken_from(arguments)
    check_layers(arguments)
    _silence_noise()
    set_parsing_settings(subclasses_enabled=[Ratings])  # a configuration names the function that reads them
    return kind(
        kind.module,
        kind.data,
        trainer_class=kind.trainer_kind,
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
            "callbacks": list(callbacks),
        },
    )

"""The configuration of a training command: its layers of YAML, its parser, and the copy in the run folder."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from metarec.data import shared
from metarec.errors import InputError, at_least
from metarec.files import write_text
from metarec.messages import explained, of_making
from metarec.tracking.logger import runs


class Parser(LightningArgumentParser):
    """Says what is wrong in one line, with the nearest right name, and exits with status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one line and exit with status 2."""
        print(f"metarec: error: {explained(message, self)}", file=sys.stderr)
        sys.exit(2)

    def instantiate(self, namespace: Namespace, *given: Any, **options: Any) -> Namespace:
        """Make the classes of a configuration; a data set that is at hand is not read again, see `shared`."""
        data = namespace.get("data.ratings")
        if isinstance(data, Namespace) and (name := shared.name_of(data.as_dict())):
            namespace = namespace.clone()
            spec = {"class_path": shared.KEPT, "init_args": Namespace({"name": name})}  # type: ignore[no-untyped-call]
            namespace["data.ratings"] = Namespace(spec)  # type: ignore[no-untyped-call]
        try:
            made: Namespace = super().instantiate(namespace, *given, **options)
        except ValueError as error:
            if "Union subtypes" not in str(error):
                raise
            raise of_making(error) from error
        return made


class SaveConfig(SaveConfigCallback):
    """Writes the whole configuration to ``config.yaml`` in the run folder, for any command, and to W&B.

    The configuration of a fit stays when its weights are judged later in the same folder.
    """

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the configuration; called once, on the first process."""
        config = yaml.safe_load(self.parser.dump(self.config, skip_unset=False))
        config["ckpt_path"] = None if config["resume"] else config["ckpt_path"]
        names = ["seed_everything", "trainer", "model", "data", "ckpt_path"]
        names += ["start_from"] if config["start_from"] else []
        config = {name: config[name] for name in names}
        path = Path(trainer.default_root_dir) / "config.yaml"
        if stage == "fit" or not path.exists():
            write_text(path, yaml.safe_dump(config, sort_keys=False))
        for run in runs(trainer):
            run.config.update(config, allow_val_change=True)


def require_numbers(trainer: Mapping[str, Any]) -> None:
    """Refuse numbers of a trainer that Lightning takes, and that would train nothing, or the wrong way round.

    Args:
        trainer: its arguments.

    Raises:
        InputError: names the first that is out of range.
    """
    at_least(
        1, **{f"trainer__{name}": trainer[name] for name in ("check_val_every_n_epoch", "accumulate_grad_batches")}
    )
    at_least(0, **{f"trainer__{name}": trainer[name] for name in ("gradient_clip_val", "log_every_n_steps")})
    for name in ("val_check_interval", "limit_train_batches"):
        if trainer[name] == 0:
            raise InputError(f"trainer.{name} 0: give a share of an epoch > 0, or a number of steps >= 1")

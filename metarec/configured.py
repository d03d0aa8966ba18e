"""What a configuration says, without running it: its data, and what a test with it measures."""

from pathlib import Path
from typing import Any

from jsonargparse import set_parsing_settings
from threadpoolctl import threadpool_limits

from metarec.allowed import enforce, require_components, taken_from
from metarec.catalogue import FullCatalogue, names, names_of_runs
from metarec.configuration import Parser
from metarec.data import shared
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.unseen import PARTS
from metarec.layers import check_layers
from metarec.metrics.collection import metrics_apart
from metarec.metrics.named import all_metrics


def data_of(arguments: list[str]) -> EpisodeDataModule:
    """The data of a configuration, alone; what its layers say of the model and the trainer is not looked at.

    Args:
        arguments: layers (``-c FILE``) and options (``--data.KEY=VALUE``); a wrong name or type ends the program.
    """
    arguments = taken_from(arguments)
    check_layers(arguments)
    parser = _data_parser()
    config = parser.parse_args(arguments)
    require_components(config.as_dict())
    data: EpisodeDataModule = parser.instantiate_classes(config).data
    return data


def keep(data: dict[str, Any]) -> None:
    """Read the data set of a configuration and split it, for the processes that this one forks.

    Args:
        data: what `parse` returned, its part ``data``.

    Raises:
        InputError: the data cannot be had.
    """
    enforce()
    require_components(data)
    parser = _data_parser()
    with threadpool_limits(1):  # threads of this process would be missing in its children
        made: EpisodeDataModule = parser.instantiate_classes(parser.parse_object({"data": data})).data
        shared.keep(data["ratings"], made.given, made.scenario, made.tasks)


def _data_parser() -> Parser:
    """A parser of configurations that looks at their data alone."""
    set_parsing_settings(subclasses_enabled=[Ratings])
    parser = Parser(prog="metarec tasks", allow_abbrev=False)
    parser.add_argument("-c", "--config", action="config", help="layer of configuration")
    parser.add_argument("--seed_everything", type=int, default=0, help="model seed, of the training episodes")
    kinds: dict[str, Any] = {"trainer": dict, "model": dict, "ckpt_path": Any, "start_from": Any}
    for name, kind in kinds.items():  # of Any, classes would be looked at
        parser.add_argument(f"--{name}", type=kind, help="not looked at")
    parser.add_lightning_class_args(EpisodeDataModule, "data")
    parser.link_arguments("seed_everything", "data.seed")
    return parser


def ratings_of(config: Path) -> Ratings:
    """The data set of a configuration file, such as a run folder's ``config.yaml``.

    Raises:
        InputError: the file cannot be read, or the data cannot be had.
    """
    return data_of(["-c", str(config)]).ratings


def measured(config: dict[str, Any]) -> list[str]:
    """The metrics that a test with this configuration gives users, or the run, as tables name them.

    Those of unseen items too, which a test has only where it asks for such items beside others.

    Args:
        config: what `parse` returned.
    """
    model, found = config["model"], []
    for callback in config["trainer"]["callbacks"] or []:
        if callback["class_path"] == f"{FullCatalogue.__module__}.{FullCatalogue.__name__}":
            cuts = callback["init_args"]["k"]
            found += [*names(cuts), *names_of_runs(cuts)]
    own = all_metrics(model["feedback"], model["ndcg_at"], model["relevant"], model["more_metrics"])
    return [*own, *metrics_apart(model["feedback"], PARTS), *found]

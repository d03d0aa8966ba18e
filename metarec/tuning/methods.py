"""Which methods of an experiment there is something to tune of, and the tuning of one after the other."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna

from metarec.errors import InputError
from metarec.experiment import Experiment, Job, expand, tuned_layer
from metarec.files import write_text
from metarec.search_space import Space, search_space
from metarec.tuning.study import Study


def spaces(
    experiment: Experiment, results: Path, methods: Sequence[str], options: Sequence[str] = ()
) -> Iterator[tuple[Job, Space]]:
    """The first seed's run of each method without tuned settings, and what of it may vary: nothing of borrowed weights.

    What the experiment or the method gives as an option is no part of the space.

    Args:
        experiment: the experiment.
        results: folder of its runs.
        methods: only these methods; empty: all.
        options: further options of every run.
    """
    for job in expand(dataclasses.replace(experiment, tuned=None), results, experiment.seeds[:1], methods, options):
        given = {**experiment.options, **experiment.methods[job.method].options}
        free = {name: values for name, values in search_space(job.layers).items() if name not in given}
        yield job, {} if job.needs is not None else free


def tune(
    experiment: Experiment,
    results: Path,
    methods: Sequence[str],
    minutes: float,
    trials: int,
    into: Path | None = None,
    options: Sequence[str] = (),
) -> None:
    """Tune the methods of an experiment one after the other; write a layer and the list of trials for each.

    A study that was interrupted goes on where it stopped, and several processes may be at one: they share its budget.
    Test users play no part. A method that cannot be tuned does not keep the later ones from it: what was wrong is told
    at the end.

    Args:
        experiment: the experiment.
        results: folder of its runs; the studies lie in ``tuning/`` there.
        methods: only these methods; empty: all.
        minutes: processor time of each method, over all threads and processes, > 0.
        trials: most trials of each method, > 0.
        into: folder for the layers; null: the experiment's own.
        options: further options of every run.

    Raises:
        InputError: the experiment names no folder for tuned layers; `minutes` or `trials` is not > 0; a search space is
            faulty; and, once all methods had their turn, of each that was not tuned: its study was begun with other
            settings, it cannot be trained, or no trial ended with a number.
    """
    folder = into or experiment.tuned
    if folder is None:
        raise InputError(
            "the experiment names no folder `tuned` for what is chosen; add one to it, or give --into FOLDER"
        )
    if not (minutes > 0 and trials > 0):
        raise InputError(f"--minutes {minutes}, --trials {trials}: give numbers > 0")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna").propagate = False
    faults = []
    for job, space in spaces(experiment, results, methods, options):
        if not space:
            print(f"{job.method}: nothing to tune", flush=True)
            continue
        try:
            _tune(job, space, results / "tuning", Path(folder), 60 * minutes, trials)
        except InputError as fault:
            faults.append(f"{job.method}: {fault}")
    if faults:
        raise InputError("; ".join(faults))


def _tune(job: Job, space: Space, studies: Path, folder: Path, seconds: float, trials: int) -> None:
    """Tune one method, and write what was chosen after all trials that the budget is enough for.

    Raises:
        InputError: as `tune`, of this method.
    """
    study = Study(job, space, studies / f"{job.method}.journal")
    with study.joined():
        study.run(seconds, trials)
        layer = tuned_layer(folder, job.method)
        with study.workers.alone():  # else one could write over what another has seen more trials for
            write_text(layer.with_suffix(".trials.csv"), study.listed())
            write_text(layer, study.layer())

"""All checks, in the order in which they are printed."""

from metarec.doctor.asking import PATIENCE, ask
from metarec.doctor.check import Check, without_secrets
from metarec.doctor.folders import folders
from metarec.doctor.machine import machine
from metarec.doctor.packages import needed, own, packages
from metarec.doctor.probe import QUESTIONS
from metarec.doctor.requirements import requirements
from metarec.doctor.services import learn2learn, wandb


def checkup(patience: float = PATIENCE) -> list[Check]:
    """Look at everything.

    Args:
        patience: seconds that one package may take to be imported.
    """
    lost = []
    try:
        ranges, needs = requirements()
    except LookupError as error:
        cure = "pip install --force-reinstall --no-deps metarec, or run it from its project's folder"
        lost = [Check("versions", "requirements", "problem", str(error), cure)]
        ranges, needs = "", []
    needs = needed(needs)
    found = ask([*(need.module for need in needs), *QUESTIONS], patience)
    broken = {name for name, answer in found.items() if answer["error"]}
    checks = [
        *own(ranges),
        *lost,
        *packages(needs, found),
        *learn2learn(found["?adapt"], "torch" in broken),
        *machine(found["?devices"]),
        *folders(found["?cache"]),
        *wandb(found["?account"], "wandb" in broken),
    ]
    return [check._replace(found=without_secrets(check.found), cure=without_secrets(check.cure)) for check in checks]

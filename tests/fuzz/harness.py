"""Coverage-guided fuzzing of the parsers with atheris: ``python -m tests.fuzz.harness --seconds 60 [NAME ...]``.

Atheris watches which lines of metarec an input reaches, and goes on from those that reach new ones. Each parser has its
own process. A file that is neither read nor refused in one line ends the run with status 1; it is kept in `--keep`.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.mutations import WAYS, Step, spoiled

STEPS = 6
"""Most ways one after the other."""

START = 120
"""Seconds more that a process may take to start and to end; one that takes longer hangs."""


def main() -> None:
    """Fuzz each parser for so many seconds, and say how many inputs it was."""
    options = _parser().parse_args()
    if options.one:
        _fuzz(options.one, options.seconds)
        return
    from tests.fuzz.parsers import parsers

    with tempfile.TemporaryDirectory() as scratch:
        names = options.names or list(parsers(Path(scratch)))
    failed = [name for name in names if not _child(name, options.seconds, options.keep)]
    if failed:
        sys.exit(f"not read, not refused: {', '.join(failed)}; see {options.keep}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parsers; none: all of them")
    parser.add_argument("--seconds", type=int, default=60, help="how long each is fuzzed")
    parser.add_argument("--keep", default="build/fuzz", help="folder for inputs that went wrong")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser


def _child(name: str, seconds: int, keep: str) -> bool:
    """Fuzz a parser in a process of its own; whether all went well."""
    Path(keep).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.harness", "--one", name, "--seconds", str(seconds)]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        environment = {**os.environ, "FUZZ_KEEP": f"{Path(keep).absolute()}/{name}-", "TMPDIR": scratch}
        limit = seconds + START
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit, check=False)
    found = re.findall(r"Done (\d+) (?:runs|in)", done.stderr)
    print(
        f"{name}: {found[-1] if found else '?'} inputs{'' if done.returncode == 0 else ', one went wrong'}", flush=True
    )
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-3000:], sep="\n")
    return done.returncode == 0


def _fuzz(name: str, seconds: int) -> None:
    """Fuzz a parser in this process, which atheris ends."""
    import atheris  # of the extra `fuzz`

    with atheris.instrument_imports(include=["metarec.data", "metarec.files", "metarec.plain_yaml"]):
        from tests.fuzz.parsers import parsers, tried
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-"))
    os.environ["METAREC_CACHE"] = str(scratch / "cache")
    parser = parsers(scratch)[name]
    files = sorted(parser.files)

    def one(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        file = files[provider.ConsumeIntInRange(0, len(files) - 1)]
        content = parser.files[file] if provider.ConsumeProbability() < 0.9 else provider.ConsumeBytes(200)
        steps: list[Step] = [
            (
                provider.ConsumeIntInRange(0, len(WAYS) - 1),
                provider.ConsumeIntInRange(0, 2**16),
                provider.ConsumeIntInRange(0, 2**10),
            )
            for _ in range(provider.ConsumeIntInRange(0, STEPS))
        ]
        tried(parser, scratch / "set", file, spoiled(content, steps))

    flags = [f"-max_total_time={seconds}", f"-artifact_prefix={os.environ['FUZZ_KEEP']}", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *flags], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

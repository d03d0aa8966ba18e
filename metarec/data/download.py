"""One file over HTTP that comes to an end: of bytes, and of seconds, whatever the other side does."""

import time
from pathlib import Path

LARGEST = 2**31
"""Bytes of a download; the archive of MovieLens 32M has some 240 million."""

SECONDS = 300
"""How long a download may take."""

SILENT = 30
"""Seconds that the other side may say nothing."""

_CHUNK = 2**18


def download(url: str, output: str | Path, _: object = None) -> None:
    """Write what an address serves into a file, following redirects to other HTTP addresses.

    Args:
        url: the address.
        output: the file.
        _: what pooch, whose downloader this is, gives besides.

    Raises:
        OSError: there is no connection, no trusted certificate or no such page, the address leads elsewhere than to
            HTTP, or the body ends early or does not end.
    """
    import requests  # slow to import, as urllib3 is
    import urllib3

    ends = time.monotonic() + SECONDS
    headers = {"Accept-Encoding": "identity"}
    size = 0
    try:
        with (
            requests.get(url, stream=True, timeout=SILENT, headers=headers) as response,
            Path(output).open("wb") as file,
        ):
            response.raise_for_status()
            while chunk := response.raw.read1(_CHUNK):
                size += len(chunk)
                if size > LARGEST:
                    raise OSError(f"the body has more than {LARGEST / 2**20:g} MB")
                if time.monotonic() > ends:
                    raise OSError(f"the body takes more than {SECONDS:g} seconds")
                file.write(chunk)
    except urllib3.exceptions.HTTPError as error:
        raise OSError(f"the body ends early ({error})") from error

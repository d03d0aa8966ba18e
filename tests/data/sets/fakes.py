"""Tiny fakes of data sets, written as files."""


def written(files, folder, **changed):
    """Write `files` (texts by name) into a folder, with other texts for some of them, by name without ending."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(changed.get(path.name.split(".")[0], text), encoding="utf-8", newline="")
    return str(folder)

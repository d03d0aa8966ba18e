"""A stand-in for W&B's server: as much of its GraphQL as an upload and a dashboard ask for, kept to be looked at."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "local-" + "0" * 40
PROJECT = {"id": "p", "name": "metarec", "entity": {"id": "e", "name": "me"}}
VIEW = {"id": "v", "displayName": "d", "type": "runs", "description": "", "spec": "{}", "user": {"name": "a"}}


class Server:
    """The server, and what it was asked.

    Attributes:
        url: its address.
        asked: GraphQL operations, by name and variables, in order.
        uploads: sizes of the files that were uploaded, by name.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.uploads: dict[str, int] = {}
        self.artifacts: dict[tuple[str, str], str] = {}

    def of(self, name: str) -> list[dict[str, Any]]:
        """The variables of all operations of a name."""
        return [variables for asked, variables in self.asked if asked == name]

    def used(self) -> set[str]:
        """Names of the artifacts that were noted as used."""
        names = {number: name for (name, _), number in self.artifacts.items()}
        return {names[variables["artifactID"]] for variables in self.of("UseArtifact")}

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """What the server says."""
        [name] = re.findall(r"^\s*(?:query|mutation)\s+(\w+)", query)
        given = variables.get("input") or variables
        self.asked.append((name, given))
        made = getattr(self, f"_{name}", None)
        if made is not None:
            found: dict[str, Any] = made(given)
            return found
        return {
            "Viewer": {"viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}},
            "ArtifactType": {"project": None},
            "GetDefaultEntity": {"viewer": {"id": "u", "entity": "me"}},
            "RunResumeStatus": {"model": {**PROJECT, "bucket": None}},
            "CommitArtifact": {"commitArtifact": {"artifact": {"id": "a", "digest": "x"}}},
            "UseArtifact": {"useArtifact": {"artifact": {"id": "a"}}},
            "CreateCustomChart": {"createCustomChart": {"chart": {"id": "me/chart"}}},
            "ProjectInternalId": {"project": {"internalId": "7"}},
            "NotifyScriptableRunAlert": {"notifyScriptableRunAlert": {"success": True}},
        }.get(name, {})

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        bucket = {"id": "b", "name": given["name"], "displayName": "d", "config": "{}", "project": PROJECT}
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def _CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        key = given["artifactCollectionName"], given["digest"]
        state = "COMMITTED" if key in self.artifacts else "PENDING"
        number = self.artifacts.setdefault(key, f"a{len(self.artifacts)}")
        return {"createArtifact": {"artifact": {"id": number, "state": state, "artifactSequence": {"id": "s"}}}}

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        manifest = {"id": "m", "file": self._file("manifest")}
        return {"createArtifactManifest": {"artifactManifest": manifest}}

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        files = [
            {"node": self._file(part["name"]) | {"artifact": {"id": part["artifactID"]}, "storagePath": part["name"]}}
            for part in given["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": files}}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        files = [self._file(name) for name in given["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}

    def _GetProjects(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"models": {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}}

    def _UpsertView2(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"upsertView": {"view": VIEW | {"name": given["name"]}, "inserted": True}}

    def _upsertView(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        view = VIEW | {"name": given["name"], "project": {"id": "p", "name": "metarec", "entityName": "me"}}
        return {"upsertView": {"view": view | {"spec": given["spec"]}, "inserted": True}}

    def _file(self, name: str) -> dict[str, Any]:
        return {"id": "f", "name": name, "uploadUrl": f"{self.url}/up/{name}", "uploadHeaders": []}


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _reply(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            server.uploads[self.path.removeprefix("/up/")] = len(self._body())
            self._reply({})

        def do_POST(self) -> None:
            body = self._body()
            if not self.path.endswith("graphql"):
                self._reply({"limits": {}})
                return
            asked = json.loads(body)
            self._reply({"data": server.answer(asked["query"], asked.get("variables") or {})})

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{http.server_port}")
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()

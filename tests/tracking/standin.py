"""A stand-in for a W&B server, on loopback: it answers what wandb 0.31 asks while it publishes.

Runs (GraphQL, file stream, uploads), artifacts and saved views, kept in memory. It was written from
the requests that the client sends; a real server checks more, and answers more.
"""

import base64
import gzip
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

ENTITY = "me"  # who is logged in
Answer = dict[str, Any]


@dataclass
class PublishedRun:
    """What arrived of a run. ``history``: as the file stream brought it, fragment after fragment;
    ``files``: uploaded content by name; ``exit_code`` None while it goes on."""

    project: str
    entity: str
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    def values(self, name: str) -> dict[int, float]:
        """By our own step; of several rows of a step the last."""
        return {int(row["step"]): row[name] for row in self.history if name in row}


@dataclass
class PublishedArtifact:
    """``manifest`` is what the client uploads: the entries' digests, sizes and references."""

    identity: str
    name: str
    kind: str
    run: str
    digest: str
    aliases: list[str]
    metadata: dict[str, Any]
    manifest: dict[str, Any] = field(default_factory=dict)
    committed: bool = False

    @property
    def references(self) -> dict[str, str]:
        return {path: entry.get("ref", "") for path, entry in self.manifest["contents"].items()}


class Server:
    """State, and one method for each operation that is answered."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.url = ""
        self.runs: dict[str, PublishedRun] = {}
        self.views: dict[str, dict[str, str]] = {}
        self.artifacts: dict[str, PublishedArtifact] = {}
        self.used: list[tuple[str, str]] = []  # (run, artifact)
        self.operations: list[str] = []
        self.unknown: list[str] = []
        self.refused = 0
        self.lock = threading.RLock()

    # --- GraphQL --------------------------------------------------------------------------------

    def answer(self, query: str, variables: Mapping[str, Any]) -> Answer:
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        operation = found.group(1) if found else ""
        method = getattr(self, f"on_{operation}", None)
        with self.lock:
            self.operations.append(operation)
            if method is None:
                self.unknown.append(query)
                return {}
            return method(variables)

    def on_Viewer(self, _: Mapping[str, Any]) -> Answer:
        teams = {"edges": [{"node": {"name": ENTITY}}]}
        return {"viewer": {"id": "1", "entity": ENTITY, "username": ENTITY, "name": ENTITY,
                           "email": "", "admin": False, "flags": "{}", "teams": teams}}  # fmt: skip

    def on_ServerFeaturesQuery(self, _: Mapping[str, Any]) -> Answer:
        return {"serverInfo": {"features": []}}

    def on_RunResumeStatus(self, asked: Mapping[str, Any]) -> Answer:
        run = self.runs.get(asked["name"])
        if run is None:
            return {"model": None}
        bucket = {
            **self._bucket(asked["name"], run),
            "summaryMetrics": json.dumps(run.summary),
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": "[]",
            "tags": run.tags,
            "notes": run.notes,
            "wandbConfig": "{}",
        }
        model = {"id": "project", "name": run.project, "entity": _entity(run.entity)}
        return {"model": {**model, "bucket": bucket}}

    def on_UpsertBucket(self, given: Mapping[str, Any]) -> Answer:
        name = given["name"]
        inserted = name not in self.runs
        entity = given["entity"] or ENTITY
        run = self.runs.setdefault(name, PublishedRun(given["project"], entity))
        run.group = given["groupName"] or run.group
        run.job_type = given["jobType"] or run.job_type
        run.tags = given["tags"] or run.tags
        run.notes = given["notes"] or run.notes
        for key, entry in json.loads(given["config"] or "{}").items():
            run.config[key] = entry["value"]
        return {"upsertBucket": {"bucket": self._bucket(name, run), "inserted": inserted}}

    def _bucket(self, name: str, run: PublishedRun) -> Answer:
        project = {"id": "project", "name": run.project, "entity": _entity(run.entity)}
        config = {key: {"value": value} for key, value in run.config.items()}
        return {"id": f"run-{name}", "name": name, "displayName": name, "description": None,
                "config": json.dumps(config), "sweepName": None, "project": project,
                "historyLineCount": len(run.history)}  # fmt: skip

    def on_CreateRunFiles(self, given: Mapping[str, Any]) -> Answer:
        run = given["run"]
        files = [{"name": name, "uploadUrl": f"{self.url}/storage/runs/{run}/{name}"}
                 for name in given["files"]]  # fmt: skip
        return {"createRunFiles": {"runID": f"run-{run}", "uploadHeaders": [], "files": files}}

    # --- artifacts: equal files of one name are one version --------------------------------------

    def on_CreateArtifact(self, given: Mapping[str, Any]) -> Answer:
        asked = given["input"]
        name, digest = asked["artifactCollectionName"], asked["digest"]
        aliases = [alias["alias"] for alias in asked.get("aliases") or []]
        versions = [a for a in self.artifacts.values() if a.name == name]
        for version in versions:
            version.aliases = [alias for alias in version.aliases if alias not in aliases]
        same = [version for version in versions if version.digest == digest]
        if same:
            artifact = same[0]
            artifact.aliases += aliases
        else:
            artifact = PublishedArtifact(
                identity=f"artifact-{len(self.artifacts)}",
                name=name,
                kind=asked["artifactTypeName"],
                run=asked["runName"],
                digest=digest,
                aliases=aliases,
                metadata=json.loads(asked.get("metadata") or "{}"),
            )
            self.artifacts[artifact.identity] = artifact
        state = "COMMITTED" if artifact.committed else "PENDING"
        told = {
            "id": artifact.identity,
            "state": state,
            "artifactSequence": {"latestArtifact": None},
        }
        return {"createArtifact": {"artifact": told}}

    def on_CreateArtifactManifest(self, given: Mapping[str, Any]) -> Answer:
        identity = given["artifactID"]
        url = f"{self.url}/storage/manifests/{identity}"
        file = {"id": f"file-{identity}", "uploadUrl": url, "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": identity, "file": file}}}

    def on_UpdateArtifactManifest(self, given: Mapping[str, Any]) -> Answer:
        told = self.on_CreateArtifactManifest({"artifactID": given["artifactManifestID"]})
        return {"updateArtifactManifest": told["createArtifactManifest"]}

    def on_CommitArtifact(self, given: Mapping[str, Any]) -> Answer:
        artifact = self.artifacts[given["artifactID"]]
        artifact.committed = True
        told = {"id": artifact.identity, "digest": artifact.digest}
        return {"commitArtifact": {"artifact": told}}

    def on_ArtifactType(self, asked: Mapping[str, Any]) -> Answer:
        kinds = [a.kind for a in self.artifacts.values() if a.name == asked["name"].split(":")[0]]
        artifact = {"artifactType": {"name": kinds[0]}} if kinds else None
        return {"project": {"artifact": artifact}}

    def on_FetchArtifactDigestAlgorithm(self, _: Mapping[str, Any]) -> Answer:
        return {"project": None}

    def on_ClientIDMapping(self, _: Mapping[str, Any]) -> Answer:
        return {"clientIDMapping": None}

    # --- saved views -----------------------------------------------------------------------------

    def on_UpsertView2(self, given: Mapping[str, Any]) -> Answer:
        known = {view["id"]: name for name, view in self.views.items()}
        inserted = given.get("id") not in known
        name = given["name"] if inserted else known[given["id"]]
        identity = f"view-{len(self.views)}" if inserted else given["id"]
        self.views[name] = {"id": identity, "displayName": given["displayName"],
                            "spec": given["spec"], "project": given["projectName"]}  # fmt: skip
        return {"upsertView": {"view": {"id": identity, "name": name}, "inserted": inserted}}

    def on_View(self, asked: Mapping[str, Any]) -> Answer:
        view = self.views.get(asked["viewName"])
        edges = [{"node": view}] if view and view["project"] == asked["projectName"] else []
        return {"project": {"allViews": {"edges": edges}}}

    # --- the file stream, and storage ------------------------------------------------------------

    def stream(self, name: str, body: Mapping[str, Any]) -> None:
        with self.lock:
            run = self.runs[name]
            files = body.get("files") or {}
            for line in files.get("wandb-history.jsonl", {}).get("content", []):
                run.history.append(json.loads(line))
            for line in files.get("wandb-summary.json", {}).get("content", []):
                run.summary.update(json.loads(line))
            if body.get("complete"):
                run.exit_code = body.get("exitcode")

    def store(self, path: str, content: bytes) -> None:
        kind, identity, *rest = path.split("/", 2)
        with self.lock:
            if kind == "runs":
                self.runs[identity].files[rest[0]] = content
            else:
                self.artifacts[identity].manifest = json.loads(content)


def _entity(name: str) -> dict[str, str]:
    return {"id": "entity", "name": name}


@contextmanager
def standing_in(key: str) -> Iterator[Server]:
    """A server that knows one key and refuses others."""
    state = Server(key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_POST(self) -> None:
            content, path = _body(self), unquote(self.path)
            if path.startswith("/sdk/otel"):  # telemetry, sent without a key
                return self._reply({})
            expected = base64.b64encode(f"api:{state.key}".encode()).decode()
            if self.headers.get("Authorization") != f"Basic {expected}":
                state.refused += 1
                return self._reply({"errors": [{"message": "permission denied"}]}, 401)
            if path.startswith("/files/"):
                state.stream(path.split("/")[-2], json.loads(content))
                return self._reply({"exitcode": None, "limits": {}})
            asked = json.loads(content)
            return self._reply({"data": state.answer(asked["query"], asked.get("variables") or {})})

        def do_PUT(self) -> None:  # storage has its own signed URLs
            state.store(unquote(self.path).removeprefix("/storage/"), _body(self))
            self._reply({})

        def _reply(self, content: Answer, status: int = 200) -> None:
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None: ...  # a client that hung up

    with Quiet(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()


def _body(request: BaseHTTPRequestHandler) -> bytes:
    content = request.rfile.read(int(request.headers.get("Content-Length") or 0))
    packed = request.headers.get("Content-Encoding") == "gzip"
    return gzip.decompress(content) if packed else content

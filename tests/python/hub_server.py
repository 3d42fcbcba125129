"""A tiny model hub on this machine, with what huggingface_hub asks of the real one."""

import contextlib
import hashlib
import http.server
import json
import pathlib
import re
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.ThreadingHTTPServer):
    """Serves folders as repositories {"owner/name": folder}; `served` lists the files fetched."""

    def __init__(self, repositories: dict[str, pathlib.Path], cut: int = 0):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories
        self.served: list[tuple[str, int]] = []  # (name, first byte)
        self.cut = cut  # break off the first answer that is longer, after so many bytes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if api := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path):
            self._api(*api.groups())
        elif file := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(*file.groups(), body)
        else:
            self._answer(404, b"", {})

    def _folder(self, repo, revision):
        folder = self.server.repositories.get(repo)
        if folder is None:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in (None, "main", COMMIT):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            folder = None
        return folder

    def _api(self, repo, kind, revision):
        if (folder := self._folder(repo, revision)) is None:
            return
        files = sorted(f for f in folder.rglob("*") if f.is_file())
        names = [f.relative_to(folder).as_posix() for f in files]
        if kind == "tree":
            data = [
                {"type": "file", "path": n, "size": f.stat().st_size, "oid": _etag(f)}
                for n, f in zip(names, files)
            ]
        else:
            data = {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]}
            data |= {"private": False, "tags": [], "downloads": 0, "likes": 0}
        self._answer(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _file(self, repo, revision, name, body):
        if (folder := self._folder(repo, revision)) is None:
            return
        file = folder / name
        if not file.is_file():
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        content, status, headers = file.read_bytes(), 200, {}
        headers = {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(start.group(1)) if start else 0
        if start:
            status = 206
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        if body:
            self.server.served.append((name, first))
        self._answer(status, content[first:], headers, body)

    def _answer(self, status, content, headers, body=True):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not body or self.command == "HEAD":
            return
        if self.server.cut and len(content) > self.server.cut:
            self.wfile.write(content[: self.server.cut])
            self.server.cut = 0
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(content)


def _etag(file: pathlib.Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextlib.contextmanager
def serve(repositories: dict[str, pathlib.Path], **settings):
    hub = Hub(repositories, **settings)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()

#!/usr/bin/env bash
# azure-storage-blob 12.31.1: raw_response_hook is not called for an answer that came after a retry
# without an answer.
#
# Guess: list_blob_names(raw_response_hook=…) calls the hook with the answer that it returns names
# from, whatever attempts came before.
# Seen: where the first attempt's connection is closed without an answer, the names of the second are
# returned and the hook is never called.
# What to do: list again when the hook has not been called.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    azure-storage-blob==12.31.1 azure-core==1.41.0
cat >"$folder/run.py" <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from azure.storage.blob import ContainerClient, ExponentialRetry

BODY = (
    b'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="container"><Blobs>'
    b"<Blob><Name>a</Name></Blob></Blobs><NextMarker/></EnumerationResults>"
)


class Handler(BaseHTTPRequestHandler):
    failures = 0

    def do_GET(self):
        if Handler.failures:
            Handler.failures -= 1
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
retry = ExponentialRetry(initial_backoff=0, increment_base=0, retry_total=3, random_jitter_range=0)
container = ContainerClient(
    f"http://127.0.0.1:{server.server_port}/account",
    "container",
    credential={"account_name": "account", "account_key": "a2V5"},
    retry_policy=retry,
)
for failures in (0, 1):
    Handler.failures, calls = failures, []
    names = [*container.list_blob_names(raw_response_hook=calls.append)]
    print(f"{failures} failed attempts: {names}, hook called {len(calls)} times")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/run.py")
echo "$seen"
[ "$seen" = "0 failed attempts: ['a'], hook called 1 times
1 failed attempts: ['a'], hook called 0 times" ]

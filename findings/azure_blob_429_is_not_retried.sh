#!/usr/bin/env bash
# azure-storage-blob 12.31.1: its retry policy does not repeat a request that is answered by 429.
#
# Guess: ExponentialRetry(retry_total=3) repeats what a throttling service refuses by "429 Too Many
# Requests" with a Retry-After, as it repeats 503 and as azure-core's own RetryPolicy does.
# Seen: a 503 is asked for four times, a 429 once; the error is raised at once.
# What to do: treat 429 as transient in the caller.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    azure-storage-blob==12.31.1 azure-core==1.41.0
cat >"$folder/run.py" <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from azure.storage.blob import BlobServiceClient, ExponentialRetry

statuses = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        statuses.append(status)
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
service = BlobServiceClient(
    f"http://127.0.0.1:{server.server_port}/account",
    credential={"account_name": "account", "account_key": "a2V5"},
    retry_policy=ExponentialRetry(
        initial_backoff=0, increment_base=0, retry_total=3, random_jitter_range=0
    ),
)
counts = []
for status in (503, 429):
    before = len(statuses)
    try:
        service.get_blob_client("container", "name").download_blob()
    except Exception:
        pass
    counts.append(len(statuses) - before)
print(f"503: {counts[0]} requests; 429: {counts[1]}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/run.py")
echo "$seen"
[ "$seen" = "503: 4 requests; 429: 1" ]

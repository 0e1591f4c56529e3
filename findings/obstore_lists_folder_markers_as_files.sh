#!/usr/bin/env bash
# obstore 0.12.1: a listing shows the key "a/x/" as "a/x".
#
# Guess: obstore.list() returns the keys of a bucket as S3 has them, so what is listed can be read and
# deleted under the listed path.
# Seen: the empty object "a/x/", which consoles make as the marker of a folder, is listed with the path
# "a/x"; head() of that path says that there is no such object.
# What to do: ask for an empty object without an extension by HEAD before believing the listing.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    obstore==0.12.1 "moto[server,s3]==5.2.5" boto3==1.44.5
port=$("$folder/venv/bin/python" -c \
    'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/moto_server" -H 127.0.0.1 -p "$port" >/dev/null 2>&1 &
server=$!
cat >"$folder/run.py" <<'PYTHON'
import sys
import time

import boto3
import obstore
from botocore.exceptions import EndpointConnectionError
from obstore.store import S3Store

url = f"http://127.0.0.1:{sys.argv[1]}"
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
client = boto3.client("s3", endpoint_url=url, **keys)
for _ in range(100):
    try:
        client.create_bucket(Bucket="bucket")
        break
    except EndpointConnectionError:
        time.sleep(0.2)
client.put_object(Bucket="bucket", Key="a/x/", Body=b"")
store = S3Store(
    "bucket",
    endpoint=url,
    region="us-east-1",
    access_key_id="key",
    secret_access_key="secret",
    client_options={"allow_http": True},
)
listed = [each["path"] for each in obstore.list(store, "a").collect()]
try:
    obstore.head(store, listed[0])
    found = "found"
except FileNotFoundError:
    found = "not found"
print(listed, found)
PYTHON
seen=$("$folder/venv/bin/python" "$folder/run.py" "$port")
echo "$seen"
[ "$seen" = "['a/x'] not found" ]

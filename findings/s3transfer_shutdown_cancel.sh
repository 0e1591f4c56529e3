#!/usr/bin/env bash
# s3transfer 0.19.3: TransferManager.shutdown(cancel=True) raises a TypeError and cancels nothing.
#
# Guess: shutdown(cancel=True, cancel_msg="stop") cancels what is in flight, and the future of an
# upload raises CancelledError("stop").
# Seen: shutdown() hands its arguments on in the wrong places (`cancel` as the message, the message
# as the class of the exception). It ends by TypeError: 'str' object is not callable, and the upload
# goes on until its own time-out.
# What to do: leave the manager as its context does on KeyboardInterrupt.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check boto3==1.44.5 s3transfer==0.19.3
cat >"$folder/run.py" <<'PYTHON'
import io
import socket
import threading
import time

import boto3
from botocore.config import Config
from s3transfer.manager import TransferManager

# A server that accepts connections and never answers: the upload is in flight until it is cancelled.
server = socket.create_server(("127.0.0.1", 0))
client = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{server.getsockname()[1]}",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
    region_name="us-east-1",
    config=Config(retries={"total_max_attempts": 1}, read_timeout=3),
)
manager = TransferManager(client)
future = manager.upload(io.BytesIO(b"x"), "bucket", "key")
time.sleep(1)
outcome = []


def stop():
    try:
        manager.shutdown(cancel=True, cancel_msg="stop")
        outcome.append("no error")
    except Exception as error:
        outcome.append(f"{type(error).__name__}: {error}")


thread = threading.Thread(target=stop)
thread.start()
thread.join(30)
try:
    future.result()
except BaseException as error:
    print(f"shutdown: {outcome[0]}; future: {type(error).__name__}: {error}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/run.py")
echo "$seen"
case "$seen" in
    "shutdown: TypeError: 'str' object is not callable; future: ReadTimeoutError: "*) ;;
    *) exit 1 ;;
esac

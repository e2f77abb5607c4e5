#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The container is healthy when JupyterLab answers, and refuses to do anything without the token or the hub's leave.
set -eu
url=http://127.0.0.1:${JUPYTER_PORT:-8888}${JUPYTERHUB_SERVICE_PREFIX:-/}api/status # below a prefix in a hub
exec python - "$url" <<'PYTHON'
import sys
import urllib.error
import urllib.request

direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the machine's is not asked
try:
    direct.open(sys.argv[1], timeout=5)
    sys.exit("JupyterLab serves without a token")
except urllib.error.HTTPError as refusal:
    sys.exit(0 if refusal.code == 403 else f"JupyterLab answers {refusal.code}")
except OSError as error:
    sys.exit(f"JupyterLab does not answer: {error}")
PYTHON

"""`python -m loadtests.engines`: the vLLM stand-in as a server on loopback.

`POST /v1/completions {"prompt": "...", "max_tokens": 50}` is answered when its tokens are made, with `"stream": true`
as they are; a word of the prompt is a token. `/v1/models`, `/metrics` and `/health` are where vLLM has them.
"""

from __future__ import annotations

import argparse

from aiohttp import web

from loadtests.engines.server import app
from loadtests.engines.vllm import Engine, Speed


def main() -> None:
    """Until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.engines")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", default="stand-in")
    parser.add_argument("--max-num-seqs", type=int, default=Speed().max_sequences)
    args = parser.parse_args()
    engine = Engine(Speed(max_sequences=args.max_num_seqs), model=args.model)
    served = app(engine, model=args.model)
    web.run_app(served, host=args.host, port=args.port, access_log=None, handler_cancellation=True)


if __name__ == "__main__":
    main()

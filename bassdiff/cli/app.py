"""The verb `app`: a page in the browser to play with."""

from __future__ import annotations

import argparse

from bassdiff.cli.arguments import weights_arguments
from bassdiff.runtime.errors import InputError


def app(arguments: argparse.Namespace) -> None:
    """Serves a page on which to drop songs and hear basses, to this machine alone."""
    import importlib.util

    from bassdiff.app.serving import Place, listen, serve, users_of

    place = Place(
        host=arguments.host,
        port=arguments.port,
        root_path=arguments.root_path.rstrip("/"),
        users=users_of(arguments.auth),
        is_open=arguments.open,
        max_minutes=arguments.max_minutes,
        max_megabytes=arguments.max_megabytes,
    )
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the page needs Gradio; install it by pip install 'bassdiff[app]'")
    weights = {"weights": arguments.weights}
    if arguments.adapter:
        weights["adapter"] = arguments.adapter
    # An address that is taken is said before weights are loaded.
    with listen(place) as listener:
        from bassdiff.inference.generator import load

        serve(load(arguments.weights, arguments.adapter), weights, place, listener)


def app_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `app`."""
    weights_arguments(sub)
    sub.add_argument("--host", default="127.0.0.1", help="address to listen at")
    sub.add_argument("--port", type=int, default=7860, help="port; 0 is any that is free")
    sub.add_argument(
        "--auth",
        action="append",
        default=[],
        metavar="USER:PASSWORD",
        help="who may log in; repeated for others, or a file with a line for each",
    )
    sub.add_argument(
        "--open", action="store_true", help="listen beyond this machine without --auth"
    )
    sub.add_argument(
        "--root-path",
        default="",
        metavar="/PATH",
        help="path of the page behind a proxy, such as /bass",
    )
    sub.add_argument(
        "--max-minutes", type=float, default=10.0, metavar="MINUTES", help="longest song"
    )
    sub.add_argument(
        "--max-megabytes", type=float, default=200.0, metavar="MB", help="largest file"
    )

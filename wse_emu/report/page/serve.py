"""`wse-emu view`: the page of one run or two, on loopback or into a file."""

import webbrowser
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from wse_emu.errors import WseError
from wse_emu.report.folder import check_parent
from wse_emu.report.page.build import build, write_page
from wse_emu.report.page.data import load

LOOPBACK = "127.0.0.1"


def run_view(runs: Sequence[Path], *, html: Path | None, port: int, open_browser: bool) -> None:
    """Write the page of ``runs`` to ``html``, or serve it until Ctrl-C.

    Raises WseError for a folder that is no run, more than two of them, or a port that cannot be had.
    """
    if html is not None:
        check_parent(html, "--html")
    facts = [load(folder) for folder in runs]
    if html is not None:
        write_page(html, facts)
        print(html)  # noqa: T201
        return
    with page_server(build(facts), port) as server:
        address = f"http://{LOOPBACK}:{server.server_address[1]}/"
        print(f"{address}  (Ctrl-C ends)", flush=True)  # noqa: T201
        if open_browser:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()  # noqa: T201


def page_server(page: str, port: int = 0) -> ThreadingHTTPServer:
    """A server of ``page`` alone, on loopback; port 0 picks a free one."""
    body = page.encode("utf-8")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8" if found else "text/plain")
            self.send_header("Content-Length", str(len(body) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are not worth a line each."""

    if not 0 <= port <= 65535:
        raise WseError(f"--port {port}: 0 to 65535 works")
    try:
        return ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise WseError(f"--port {port}: cannot be had ({error.strerror}); 0 picks a free one") from None

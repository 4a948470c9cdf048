"""Nobody speaks to an explorer but a page that it served itself, opened with its token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from explorers import HEADERS, OWN, PORT, TOKEN, subject
from networks import run
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from slowly import in_turn
from spikewright.explorer.serving import application
from spikewright.explorer.serving.server import PAGE

FILES = ["", *(path.name for path in PAGE.iterdir())]


@pytest.fixture(scope="module", params=["conversion", "network"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    """A browser on this machine, for either page."""
    shown = run() if request.param == "network" else subject(8)
    with TestClient(application(shown, TOKEN, PORT), base_url=OWN) as opened:
        yield opened


@pytest.mark.parametrize("name", FILES)
def test_the_page_and_its_files_are_served_with_the_token(client: TestClient, name: str) -> None:
    """Each with headers that keep it from other sites, caches and referrers."""
    answer = client.get(f"/{TOKEN}/{name}")

    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "token"),
    in_turn(FILES, ["", "/another", f"/{TOKEN}x", f"/{TOKEN[:-1]}", "/ä"]),
)
def test_without_the_token_nothing_is_served(client: TestClient, token: str, name: str) -> None:
    """No file, whatever stands in the place of the token."""
    answer = client.get(f"{token}/{name}")

    assert answer.status_code == 403
    assert "token" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},  # a name that was made to lead here
        {"host": f"evil.example:{PORT}"},
        {"host": "127.0.0.1:1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_other_hosts_and_origins_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    """Even with the token, for files and for the socket."""
    assert client.get(f"/{TOKEN}/", headers=headers).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(f"/{TOKEN}/socket", headers={**HEADERS, **headers}),
    ):
        pass


@pytest.mark.parametrize(
    "path, headers",
    [
        ("/socket", HEADERS),
        ("/another/socket", HEADERS),
        (f"/{TOKEN}/socket", {"host": HEADERS["host"]}),
    ],
)
def test_a_socket_needs_token_and_origin(
    client: TestClient, path: str, headers: dict[str, str]
) -> None:
    """A socket without either is closed before it opens."""
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(path, headers=headers),
    ):
        pass


def test_the_page_by_its_other_name_opens_a_socket(client: TestClient) -> None:
    """`localhost` is this machine, too."""
    headers = {"host": f"localhost:{PORT}", "origin": f"http://localhost:{PORT}"}
    with client.websocket_connect(f"/{TOKEN}/socket", headers=headers) as socket:
        assert socket.receive_bytes()


@pytest.mark.parametrize("path", [f"/{TOKEN}/../explore.py", f"/{TOKEN}/%2e%2e/explore.py"])
def test_nothing_but_the_page_is_served(client: TestClient, path: str) -> None:
    """There is no way out of the folder."""
    assert client.get(path).status_code in (403, 404)


def test_no_file_of_the_page_names_another_place() -> None:
    """No address of a network stands in it, so that it loads nothing from elsewhere."""
    found: dict[str, Any] = {
        path.name: re.findall(r"https?:|//\w+\.\w+/|@import|url\(", path.read_text())
        for path in PAGE.iterdir()
    }
    assert len(found) > 3
    assert {name: places for name, places in found.items() if places} == {}

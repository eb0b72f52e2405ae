"""What is handed around holds credentials, and shows none of them to logs, tracebacks or errors."""

from interlock.core.caller import Secret
from interlock.core.ports import Deployment, HttpRequest


def test_a_request_shows_the_names_of_its_headers_and_neither_their_values_nor_its_body():
    request = HttpRequest("POST", "https://llm.example/v1", (("authorization", "Bearer sk-live-1"),), b"dear diary")
    shown = f"{request!r} {request} {[request]}"
    assert "authorization" in shown
    assert "sk-live-1" not in shown
    assert "diary" not in shown


def test_a_deployment_shows_neither_its_key_nor_the_headers_among_its_options():
    deployment = Deployment(
        "mine", "m", "openai", api_key=Secret("sk-live-1"), options={"headers": {"x-api-key": "sk-live-2"}}
    )
    shown = f"{deployment!r} {[deployment]}"
    assert "mine/m" in shown
    assert "sk-live" not in shown

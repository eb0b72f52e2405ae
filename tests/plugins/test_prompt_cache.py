"""The vendors' own prompt caches: marks and keys."""

import msgspec
import pytest
from msgspec import structs

from interlock.core.chat import ChatRequest, Message, Part, ToolCall, ToolSpec
from interlock.plugins import anthropic_ask, anthropic_turns, openai_ask, profiles

TOOLS = (ToolSpec("find", {"type": "object"}), ToolSpec("send", {"type": "object"}))
SYSTEM = Message("system", "Be brief.")
MARK = {"type": "ephemeral"}


def asked(*messages, **fields):
    return ChatRequest(model="m", messages=messages, **fields)


def sent(request, cache="5m"):
    profile = profiles.shipped().of("anthropic", "claude-sonnet-4-5")
    return msgspec.json.decode(
        anthropic_ask.encoded(request, "m", profile, anthropic_turns.Thoughts(), cache=cache, stream=False)
    )


def marks(body):
    """Where marks stand, as paths."""
    found = [f"tools[{at}]" for at, each in enumerate(body.get("tools", [])) if "cache_control" in each]
    if not isinstance(body.get("system", ""), str):
        found += [f"system[{at}]" for at, each in enumerate(body["system"]) if "cache_control" in each]
    for turn, message in enumerate(body["messages"]):
        if not isinstance(message["content"], str):
            found += [f"{turn}.{at}" for at, each in enumerate(message["content"]) if "cache_control" in each]
    return found


@pytest.mark.requirement("GW-21")
def test_a_lone_question_has_its_stable_prefix_marked_and_itself_not():
    body = sent(asked(SYSTEM, Message("user", "Hi"), tools=TOOLS))
    assert marks(body) == ["tools[1]", "system[0]"]
    assert body["system"][0] == {"type": "text", "text": "Be brief.", "cache_control": MARK}
    assert marks(sent(asked(Message("user", "Hi")))) == []


@pytest.mark.requirement("GW-21")
def test_of_a_conversation_what_stands_before_the_newest_question_is_marked():
    body = sent(asked(SYSTEM, Message("user", "a"), Message("assistant", "b"), Message("user", "c")))
    assert marks(body) == ["system[0]", "1.0"]
    longer = sent(asked(*(Message("user" if at % 2 == 0 else "assistant", str(at)) for at in range(7)), tools=TOOLS))
    assert marks(longer) == ["tools[1]", "3.0", "5.0"]


@pytest.mark.requirement("GW-21")
def test_in_a_tool_loop_the_newest_result_is_marked_since_it_comes_again():
    loop = [
        Message("user", "Find it."),
        Message("assistant", "", tool_calls=(ToolCall("1", "find"),)),
        Message("tool", "found", tool_call_id="1"),
    ]
    body = sent(asked(SYSTEM, *loop, tools=TOOLS))
    assert marks(body) == ["tools[1]", "system[0]", "0.0", "2.0"]
    assert len(marks(body)) <= 4, "the vendor takes no more"


@pytest.mark.requirement("GW-21")
def test_a_caller_who_marks_anything_keeps_its_marks_and_gets_no_other():
    marked = Message("user", (Part("text", text="long", cache="1h"), Part("text", text="short")))
    body = sent(asked(SYSTEM, marked, Message("assistant", "b"), Message("user", "c"), tools=TOOLS))
    assert marks(body) == ["0.0"]
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    tools = (structs.replace(TOOLS[0], cache="5m"), TOOLS[1])
    assert marks(sent(asked(SYSTEM, Message("user", "c"), tools=tools))) == ["tools[0]"]


def test_without_the_option_nothing_is_marked():
    assert marks(sent(asked(SYSTEM, Message("user", "a"), tools=TOOLS), cache="")) == []


def test_the_same_request_is_the_same_bytes():
    request = asked(SYSTEM, Message("user", "a"), tools=TOOLS)
    assert sent(request) == sent(request)


def key(request, accepts=("prompt_cache_key",)):
    profile = profiles.shipped().of("openai", "gpt-4o")
    body = openai_ask.encoded(request, "m", profile, "max_tokens", stream=False, usage=False, accepts=accepts)
    return msgspec.json.decode(body).get("prompt_cache_key")


@pytest.mark.requirement("GW-21")
def test_requests_that_begin_alike_have_one_key_and_tenants_never_share_it():
    first = key(asked(SYSTEM, Message("user", "a"), tools=TOOLS, tenant="acme"))
    assert first == key(asked(SYSTEM, Message("user", "b"), tools=TOOLS, tenant="acme"))
    assert "acme" not in first
    others = [
        asked(SYSTEM, Message("user", "a"), tools=TOOLS, tenant="other"),
        asked(Message("system", "Be long."), Message("user", "a"), tools=TOOLS, tenant="acme"),
        asked(SYSTEM, Message("user", "a"), tenant="acme"),
    ]
    assert len({first, *(key(each) for each in others)}) == 4
    own = asked(SYSTEM, Message("user", "a"), extra={"prompt_cache_key": "mine"}, raw_dialect="openai")
    assert key(own) == "mine"
    assert key(asked(Message("user", "a")), accepts=()) is None

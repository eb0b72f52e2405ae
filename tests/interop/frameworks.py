"""One agent of a framework of others, with one tool, through our gateway. Run by the Python of another environment.

    python tests/interop/frameworks.py NAME BASE_URL KEY HEADERS

NAME is `langgraph`, `llama_index`, `openai_agents` or `pydantic_ai`; HEADERS is a JSON object. Prints the answer on the last line.
"""

# pyright: basic

import asyncio
import importlib
import json
import sys

NAME, BASE, KEY, HEADERS = *sys.argv[1:4], json.loads(sys.argv[4])
ASKED = "Where is order A1?"
MODEL = "support"


def look(order: str) -> str:
    """Where an order is."""
    return f"{order} is on its way"


async def langgraph() -> str:
    from langchain_openai import ChatOpenAI  # pyright: ignore[reportMissingImports]
    from langgraph.prebuilt import create_react_agent  # pyright: ignore[reportMissingImports]

    model = ChatOpenAI(model=MODEL, base_url=BASE, api_key=KEY, default_headers=HEADERS, max_retries=0)
    told = await create_react_agent(model, [look]).ainvoke({"messages": [("user", ASKED)]})
    return told["messages"][-1].content


async def llama_index() -> str:
    from llama_index.core.agent.workflow import FunctionAgent  # pyright: ignore[reportMissingImports]
    from llama_index.llms.openai_like import OpenAILike  # pyright: ignore[reportMissingImports]

    model = OpenAILike(
        model=MODEL,
        api_base=BASE,
        api_key=KEY,
        default_headers=HEADERS,
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
    )
    return str(await FunctionAgent(tools=[look], llm=model).run(ASKED))


async def openai_agents() -> str:
    sdk = importlib.import_module("agents")
    sdk.set_tracing_disabled(True)
    model = sdk.OpenAIChatCompletionsModel(MODEL, openai_client=client())
    agent = sdk.Agent(name="orders", model=model, tools=[sdk.function_tool(look)])
    return (await sdk.Runner.run(agent, ASKED)).final_output


async def pydantic_ai() -> str:
    from pydantic_ai import Agent  # pyright: ignore[reportMissingImports]
    from pydantic_ai.models.openai import OpenAIChatModel  # pyright: ignore[reportMissingImports]
    from pydantic_ai.providers.openai import OpenAIProvider  # pyright: ignore[reportMissingImports]

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client()))
    return (await Agent(model, name="orders", tools=[look]).run(ASKED)).output


def client():
    from openai import AsyncOpenAI  # pyright: ignore[reportMissingImports]

    return AsyncOpenAI(base_url=BASE, api_key=KEY, default_headers=HEADERS, max_retries=0)


if __name__ == "__main__":
    print(asyncio.run(globals()[NAME]()))
